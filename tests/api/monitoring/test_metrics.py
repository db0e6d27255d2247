import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from api.app import create_starting_app
from api.monitoring.metrics import MODEL, exposition, set_model
from api.server.environ import METRICS_LISTENER, REJECTED
from model import ROOT
from model.engines.engine import EngineInfo
from tests.pictures import encode, noise

MONITORING = ROOT / "api" / "monitoring"
README = ROOT / "api" / "README.md"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(client: FlaskClient) -> Samples:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return samples(response.text)


def grown(client: FlaskClient, before: Samples) -> dict[str, float]:
    """What has grown since then, but for durations, as `name{label,…}` without the prefix."""
    found: dict[str, float] = {}
    for (name, labels), value in scrape(client).items():
        values = [value for _, value in labels]
        growth = value - before.get((name, labels), 0)
        if growth and "seconds" not in name and "/metrics" not in values:
            found[f"{name.removeprefix('cifake_')}{{{','.join(values)}}}"] = growth
    return found


def predict(client: FlaskClient, picture: np.ndarray) -> None:
    assert client.post("/predict", data=encode(picture), content_type="image/png").status_code == 200


def test_a_prediction_is_counted(client: FlaskClient) -> None:
    before = scrape(client)
    predict(client, np.full((32, 32, 3), 250, np.uint8))
    counted = grown(client, before)
    assert counted["http_requests_total{POST,/predict,200}"] == 1
    assert counted["predictions_total{REAL}"] == 1
    assert counted["batch_pictures_count{}"] == counted["prediction_probability_count{}"] == 1
    assert counted["prediction_probability_sum{}"] == pytest.approx(250 / 255, abs=1e-5)
    assert not [name for name in counted if name.startswith(("problems", "out_of_domain"))]


def test_durations_are_those_of_server_timing(client: FlaskClient) -> None:
    before = scrape(client)
    response = client.post("/predict", data=encode(noise(1)), content_type="image/png")
    stages = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["Server-Timing"]))
    after = scrape(client)
    assert list(stages) == ["parse", "decode", "queue", "infer"]
    for stage, milliseconds in stages.items():
        key = ("cifake_stage_duration_seconds_sum", (("stage", stage),))
        assert after[key] - before.get(key, 0) == pytest.approx(float(milliseconds) / 1000, abs=1e-6)
    key = ("cifake_http_request_duration_seconds_sum", (("route", "/predict"),))
    assert after[key] - before.get(key, 0) >= sum(map(float, stages.values())) / 1000 - 1e-5


def test_pictures_out_of_domain_are_counted_by_reason(client: FlaskClient) -> None:
    before = scrape(client)
    predict(client, np.zeros((32, 32, 3), np.uint8))
    predict(client, noise(2, 48))
    counted = grown(client, before)
    assert (counted["out_of_domain_total{content}"], counted["out_of_domain_total{size}"]) == (1, 1)


def test_the_pictures_of_a_batch_are_counted(client: FlaskClient) -> None:
    before = scrape(client)
    form = {"files": [(io.BytesIO(encode(noise(seed))), f"{seed}.png") for seed in range(5)]}
    assert client.post("/batch?team=t", data=form).status_code == 200
    counted = grown(client, before)
    assert counted["prediction_probability_count{}"] == counted["batch_pictures_sum{}"] == 5


PROBLEMS = {
    "not-found": {"path": "/nowhere"},
    "method-not-allowed": {"path": "/predict"},
    "bad-request": {"path": "/predict?abstain=2", "method": "POST"},
    "unsupported-format": {"path": "/predict", "method": "POST", "data": b"nonsense"},
    "too-large": {"path": "/predict", "method": "POST", "data": bytes(300_000)},
    "busy": {"path": "/predict", "method": "POST", "environ_overrides": {REJECTED: True}},
}


@pytest.mark.parametrize("reason", PROBLEMS)
def test_problems_are_counted_by_reason(reason: str, client: FlaskClient) -> None:
    before = scrape(client)
    assert client.open(**PROBLEMS[reason]).status_code >= 400
    counted = grown(client, before)
    assert {name: value for name, value in counted.items() if name.startswith("problems")} == {
        f"problems_total{{{reason}}}": 1
    }


@settings(
    derandomize=True,
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    method=st.from_regex(r"[A-Za-z]{1,20}", fullmatch=True),
    path=st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=30),
)
def test_clients_cannot_add_labels(method: str, path: str, client: FlaskClient) -> None:
    known = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "_OTHER"}
    before = scrape(client).keys()  # other tests have routes of their own
    client.open(f"/zz{path}", method=method)
    client.open("/predict", method=method)
    added = scrape(client).keys() - before
    labels = [dict(labels) for name, labels in added if name == "cifake_http_requests_total"]
    assert {one["method"] for one in labels} <= known
    rules = {rule.rule for rule in client.application.url_map.iter_rules()}
    assert {one["route"] for one in labels} <= rules | {"unmatched"}


def test_metrics_are_answered_while_the_model_is_loaded() -> None:
    scrape(create_starting_app().test_client())


def test_metrics_and_the_service_may_be_kept_apart(client: FlaskClient) -> None:
    """By which of the addresses the connection came to."""
    for there, metrics, other in ((True, 200, 404), (False, 404, 200), (None, 200, 200)):
        environ = {} if there is None else {METRICS_LISTENER: there}
        assert client.get("/metrics", environ_overrides=environ).status_code == metrics
        assert client.get("/livez", environ_overrides=environ).status_code == other


def test_jobs_are_counted_by_state(client: FlaskClient) -> None:
    states = {dict(labels)["state"] for name, labels in scrape(client) if name == "cifake_jobs"}
    assert states == {"queued", "running", "done", "failed", "cancelled"}


def test_the_model_that_is_served_is_told() -> None:
    first, second = "f00d" * 16, "beef" * 16  # no other test's: the metric is the process's
    set_model(first, EngineInfo("OpenVINO", "int8", "cpu"))
    set_model(second, EngineInfo("OpenVINO", "f32", "cpu"))
    told = {
        (sample.labels["digest"], sample.labels["precision"]): sample.value
        for family in MODEL.collect()
        for sample in family.samples
        if sample.labels["digest"] in (first[:12], second[:12])
    }
    assert told == {(first[:12], "int8"): 0, (second[:12], "f32"): 1}


# What documents name


def families() -> Iterator[tuple[str, str, str]]:
    """Name, type and meaning of each metric."""
    for family in text_string_to_metric_families(exposition({"done": 1}).decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield name, family.type, family.documentation


def test_the_readme_lists_every_metric() -> None:
    row = re.compile(r"^\| `(cifake_\w+)(?:\{[\w, ]+\})?` \| (\w+) \| (.*) \|$", re.MULTILINE)
    rows = row.findall(README.read_text())
    assert sorted(rows) == sorted(families())


@pytest.mark.parametrize("file", ["alerts.yml", "dashboard.json"])
def test_alerts_and_the_dashboard_name_metrics_that_exist(file: str) -> None:
    known: set[str] = set()
    for name, kind, _ in families():
        known |= {f"{name}_{end}" for end in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    named = set(re.findall(r"\bcifake_\w+", (MONITORING / file).read_text()))
    assert len(named) >= 5
    assert named <= known


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool, of Prometheus, is not installed")
def test_alerts_fire_when_they_should() -> None:
    file = ROOT / "tests" / "api" / "monitoring" / "alerts.test.yml"
    rules = [
        line.split()[-1] for line in (MONITORING / "alerts.yml").read_text().splitlines() if "alert:" in line
    ]
    tested = file.read_text()
    assert [name for name in rules if f"alertname: {name}" not in tested] == []
    subprocess.run(["promtool", "test", "rules", file], check=True, timeout=60)


def test_the_dashboard_is_laid_out() -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert all(panel["targets"] for panel in panels)
