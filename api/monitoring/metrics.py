"""The metrics of the service; api/README.md has a table of them.

Names and units follow https://prometheus.io/docs/practices/naming. Every label has few values, which clients
cannot add to. Imported in the workers only: see api.monitoring.slots.
"""

import os
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from api.monitoring import slots
from api.monitoring.record import RequestRecord
from model.engines.engine import EngineInfo
from model.metadata import THRESHOLD

DIGEST_DIGITS = 12
PROBABILITIES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 300.0)
STAGE_SECONDS = (0.0001, 0.00025, 0.0005, *REQUEST_SECONDS[:-1])
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)  # the largest CIFAKE_BATCH_SIZE

prometheus_client.disable_created_metrics()
REGISTRY = CollectorRegistry(auto_describe=True)

REQUESTS = Counter(
    "cifake_http_requests",
    "Requests that were answered.",
    ["route", "method", "status"],
    registry=REGISTRY,
)
DURATION = Histogram(
    "cifake_http_request_duration_seconds",
    "Time from a request's first byte until its answer was ready.",
    ["route"],
    registry=REGISTRY,
    buckets=REQUEST_SECONDS,
)
STAGES = Histogram(
    "cifake_stage_duration_seconds",
    "Time of each stage of /predict: parse, decode, queue, infer.",
    ["stage"],
    registry=REGISTRY,
    buckets=STAGE_SECONDS,
)
PROBLEMS = Counter(
    "cifake_problems",
    "Answers that were problems, by the last part of their type, such as busy.",
    ["reason"],
    registry=REGISTRY,
)
BATCH = Histogram(
    "cifake_batch_pictures",
    "Pictures that went through the model at once.",
    registry=REGISTRY,
    buckets=BATCH_SIZES,
)
PREDICTIONS = Counter("cifake_predictions", "Pictures by their likelier label.", ["label"], registry=REGISTRY)
PROBABILITY = Histogram(
    "cifake_prediction_probability", "P(REAL) of the pictures.", registry=REGISTRY, buckets=PROBABILITIES
)
OUT_OF_DOMAIN = Counter(
    "cifake_out_of_domain",
    "Pictures unlike the training data, for their size or their content.",
    ["reason"],
    registry=REGISTRY,
)
IN_FLIGHT = Gauge(
    "cifake_http_requests_in_flight",
    "Requests that have a thread or wait for one.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
CONNECTIONS = Gauge("cifake_connections", "Open connections.", registry=REGISTRY, multiprocess_mode="livesum")
QUEUED = Gauge(
    "cifake_queued_pictures",
    "Pictures that wait for the model.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
MODEL = Gauge(
    "cifake_model_info",
    "1 for the model that is served, with the first 12 digits of its digest.",
    ["digest", "engine", "precision"],
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
WORKERS = Gauge(
    "cifake_workers",
    "Worker processes whose model is loaded.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
WORKER_STARTS = Counter("cifake_worker_starts", "Worker processes that were started.", registry=REGISTRY)
MEMORY = Gauge(
    "cifake_worker_resident_memory_bytes",
    "Resident memory of a worker.",
    ["worker"],
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
CPU = Counter(
    "cifake_worker_cpu_seconds", "CPU time of the workers, user and system.", ["worker"], registry=REGISTRY
)


@cache
def _of_request(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(route, method, status), DURATION.labels(route)


_stage = cache(STAGES.labels)
_problem = cache(PROBLEMS.labels)
_reasons = {reason: OUT_OF_DOMAIN.labels(reason) for reason in ("size", "content")}
_served: list[Gauge] = []
_labels = (PREDICTIONS.labels("FAKE"), PREDICTIONS.labels("REAL"))


def count_request(record: RequestRecord) -> None:
    """Count an answered request."""
    requests, duration = _of_request(record.route, record.method, record.status)
    requests.inc()
    duration.observe(record.seconds)
    for stage, seconds in record.stages.items():
        _stage(stage).observe(seconds)
    if record.problem:
        _problem(record.problem).inc()


def count_prediction(prediction: float, out_of_domain_reason: str | None) -> None:
    """Count a classified picture. prediction: P(REAL). out_of_domain_reason: see model.ood.domain."""
    _labels[prediction >= THRESHOLD].inc()
    PROBABILITY.observe(prediction)
    if out_of_domain_reason:
        _reasons[out_of_domain_reason].inc()


def set_model(digest: str, info: EngineInfo) -> None:
    """Tell which model this process serves from now on."""
    for served in _served:
        served.set(0)
    model = MODEL.labels(digest[:DIGEST_DIGITS], info.framework, info.precision)
    model.set(1)
    _served[:] = [model]


class ProcessMetrics:
    """The gauges of this process, and its CPU time. worker: number of its slot."""

    def __init__(self, worker: int) -> None:
        self._memory, self._cpu = MEMORY.labels(worker), CPU.labels(worker)
        self._cpu_seconds = 0.0
        WORKER_STARTS.inc()

    def sample(self, in_flight: int, connections: int, queued_pictures: int, loaded: bool) -> None:
        """Set the gauges, and write all metrics for the other processes to read: about a millisecond."""
        IN_FLIGHT.set(in_flight)
        CONNECTIONS.set(connections)
        QUEUED.set(queued_pictures)
        WORKERS.set(loaded)
        used = time.process_time()
        self._cpu.inc(used - self._cpu_seconds)
        self._cpu_seconds = used
        statm = Path("/proc/self/statm")
        if statm.exists():  # on Linux
            self._memory.set(int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        slots.flush()


class JobMetrics(Collector):
    """The jobs, which are counted when they are asked for: all workers have the same ones. jobs: by state."""

    def __init__(self, jobs: Mapping[str, int]) -> None:
        self._jobs = jobs

    def collect(self) -> Iterator[Metric]:
        """What prometheus-client asks for."""
        family = GaugeMetricFamily("cifake_jobs", "Batch jobs by state.", labels=["state"])
        for state, number in self._jobs.items():
            family.add_metric([state], number)
        yield family


def exposition(jobs: Mapping[str, int]) -> bytes:
    """All metrics in Prometheus's text format: those of all workers, or of this process if there are none."""
    registry = CollectorRegistry()
    registry.register(JobMetrics(jobs))
    if slots.VARIABLE in os.environ:
        slots.flush()
        MultiProcessCollector(registry)
    else:
        registry.register(REGISTRY)
    return prometheus_client.generate_latest(registry)
