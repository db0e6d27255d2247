"""gunicorn with two workers, one of which is killed."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from model import ROOT
from tests.api.monitoring.test_metrics import Samples, samples
from tests.benchmarks.servers import free_port
from tests.pictures import encode, noise

PREDICTIONS = 6
SECONDS = 60  # for each thing that is waited for
TWO_WORKERS = {"CIFAKE_WORKERS": "2", "CIFAKE_DEVICE": "cpu", "CIFAKE_LOG_FORMAT": "json"}


def get(url: str, data: bytes | None = None) -> tuple[int, str]:
    """Status and text; status 0 if nothing answers."""
    request = urllib.request.Request(url, data, {"Content-Type": "image/png"} if data else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except OSError:
        return 0, ""


def counters(found: Samples) -> Samples:
    return {
        key: value for key, value in found.items() if key[0].endswith(("_total", "_count", "_sum", "_bucket"))
    }


def wait(url: str, starts: int, workers: int, before: Samples) -> Samples:
    """Scrape until so many workers were started and are ready; no counter may fall meanwhile."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        status, text = get(url)
        if status == 200:
            found = samples(text)
            assert all(found.get(key, -1) >= value for key, value in counters(before).items())
            before = found
            if (found["cifake_worker_starts_total", ()], found["cifake_workers", ()]) == (starts, workers):
                return found
        time.sleep(0.1)
    raise AssertionError(f"not {workers} of {starts} workers: {before}")


def test_counters_do_not_fall_when_a_worker_is_killed(tmp_path: Path) -> None:
    service, metrics = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    environment = (
        os.environ
        | TWO_WORKERS
        | {
            "CIFAKE_BIND": service,
            "CIFAKE_METRICS_BIND": metrics,
            "CIFAKE_OUTPUT_DIR": str(tmp_path),
        }
    )
    command = [sys.executable, "-m", "gunicorn", "-c", "api/gunicorn.conf.py", "api.app:create_app()"]
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
    try:
        url = f"http://{metrics}/metrics"
        before = wait(url, 2, 2, {})
        for seed in range(PREDICTIONS):
            assert get(f"http://{service}/predict", encode(noise(seed)))[0] == 200
        assert (get(f"http://{service}/metrics")[0], get(f"http://{metrics}/livez")[0]) == (404, 404)
        answered = (
            "cifake_http_requests_total",
            (("method", "POST"), ("route", "/predict"), ("status", "200")),
        )
        until = time.monotonic() + SECONDS
        while before.get(answered) != PREDICTIONS:
            assert time.monotonic() < until
            before = wait(url, 2, 2, before)

        lines = map(json.loads, log.read_text().splitlines())
        booted = [line["process"] for line in lines if line["message"].startswith("Booting worker")]
        os.kill(booted[0], signal.SIGKILL)
        after = wait(url, 3, 2, before)
        assert after[answered] == PREDICTIONS
        workers = {
            dict(labels)["worker"] for name, labels in after if name.startswith("cifake_worker_resident")
        }
        assert workers == {"0", "1"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=SECONDS) == 0
        assert all(json.loads(line)["timestamp"] for line in log.read_text().splitlines())
    finally:
        process.kill()
        process.wait()
