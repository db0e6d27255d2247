"""The result of a job: its table, its threshold and its files."""

import csv
import io
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from api.client.cifake_client import Client
from tests.gunicorn_server import GunicornServer
from tests.page.browser import address
from tests.page.conftest import OpenPage
from tests.page.looks import faults
from tests.page.steps import grey
from tests.page.texts import text
from tests.pictures import encode, noise, zipped

COUNTS = {"good": 300, "broken": 7, "size": 5, "content": 3}
TEAM = "mixed"


def brightness(number: int) -> int:
    """Between 26 and 255, in no order."""
    return 26 + (number * 97) % 230


FILES = {
    **{f"good-{number}.png": grey(brightness(number)) for number in range(COUNTS["good"])},
    **{f"broken-{number}.png": b"noise" for number in range(COUNTS["broken"])},
    **{f"size-{number}.png": encode(noise(number, 64, 48)) for number in range(COUNTS["size"])},
    **{f"content-{number}.png": grey(10) for number in range(COUNTS["content"])},
}


class Result(NamedTuple):
    server: GunicornServer
    job: str
    rows: dict[str, float]

    def get(self, path: str) -> bytes:
        """What the service answers below the job's address."""
        status, body = self.server.get(f"/batch/{self.job}/{path}")
        assert status == 200
        return body


@pytest.fixture(scope="module")
def result(stand_in: GunicornServer, tmp_path_factory: pytest.TempPathFactory) -> Result:
    archive = tmp_path_factory.mktemp("archive") / "mixed.zip"
    archive.write_bytes(zipped(FILES))
    with Client(address(stand_in)) as client:
        job = client.wait(client.submit(archive, TEAM), timeout=60, progress=False)
        rows = {row["image_id"]: row["prediction"] for row in client.result(job)}
    return Result(stand_in, job.id, rows)


@pytest.fixture
def page(open_page: OpenPage, result: Result) -> Page:
    page = open_page(result.server, f"/#job={result.job}")
    expect(page.get_by_role("grid")).to_be_visible()
    return page


def shown(page: Page) -> list[str]:
    """The names of the first rows, from the top."""
    return page.get_by_role("grid").evaluate(
        """(grid) => {
            const index = (row) => Number(row.getAttribute("aria-rowindex"));
            const rows = [...grid.querySelectorAll("[role=row]:not([hidden])")];
            rows.sort((one, other) => index(one) - index(other)).shift(); // the headings
            return rows.slice(0, 5).map((row) => row.querySelector("[role=gridcell]").textContent);
        }"""
    )


def choose_filter(page: Page, name: str) -> Locator:
    """Choose one of the filters; returns its label, which has the number of its rows."""
    words = page.get_by_text(text(f"jobs.filter.{name}"), exact=True)
    chip = page.get_by_role("group", name=text("jobs.filter.legend")).locator("label").filter(has=words)
    chip.click()
    return chip


def test_rows_are_sorted_by_each_column(page: Page, result: Result) -> None:
    names = list(result.rows)
    rising = sorted(names, key=lambda name: result.rows[name])
    button = page.get_by_role("columnheader", name=text("jobs.table.columns.real")).get_by_role("button")
    header = page.get_by_role("columnheader", name=text("jobs.table.columns.real"))
    button.click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert [result.rows[name] for name in shown(page)] == [result.rows[name] for name in rising[:5]]
    button.click()
    expect(header).to_have_attribute("aria-sort", "descending")
    assert [result.rows[name] for name in shown(page)] == [result.rows[name] for name in rising[::-1][:5]]
    page.get_by_role("columnheader", name=text("jobs.table.columns.name")).get_by_role("button").click()
    assert shown(page) == [f"broken-{number}.png" for number in range(5)]


def test_filters_have_their_rows(page: Page, result: Result) -> None:
    values = result.rows.values()
    counts = {
        "all": len(FILES),
        "fake": sum(value < 0.5 for value in values),
        "real": sum(value >= 0.5 for value in values),
        "uncertain": sum(max(value, 1 - value) < 0.9 for value in values),
        "outside": COUNTS["size"] + COUNTS["content"],
        "unreadable": COUNTS["broken"],
    }
    for name, count in counts.items():
        expect(choose_filter(page, name)).to_contain_text(str(count))
        expect(page.get_by_role("grid")).to_have_attribute("aria-rowcount", str(count + 1))
        expect(page.locator("#jobs")).to_contain_text(text("jobs.table.shown", count=count, all=len(FILES)))
    assert shown(page) == [f"broken-{number}.png" for number in range(5)]
    assert faults(page) == []


@pytest.mark.parametrize("width", [320, 1000])
def test_values_are_not_cut_short(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    choose_filter(page, "outside")
    expect(page.get_by_role("gridcell", name=text("jobs.outside.size")).first).to_be_visible()
    values = page.get_by_role("grid").locator("[role=gridcell]:not([aria-colindex='1']):visible")
    cut = "cells => cells.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)"
    assert values.evaluate_all(cut) == []


def test_names_are_searched(page: Page) -> None:
    page.get_by_label(text("jobs.table.search")).fill("SIZE")
    expect(page.get_by_role("grid")).to_have_attribute("aria-rowcount", str(COUNTS["size"] + 1))
    assert shown(page) == [f"size-{number}.png" for number in range(5)]
    page.get_by_label(text("jobs.table.search")).fill("nobody")
    expect(page.locator("#jobs")).to_contain_text(text("jobs.table.empty"))
    assert faults(page) == []


def test_the_threshold_moves_labels_but_no_file(page: Page, result: Result) -> None:
    values = np.array(list(result.rows.values()))
    slider = page.get_by_label(text("jobs.histogram.threshold"))
    slider.focus()
    for key, threshold in (("ArrowRight", 0.51), ("End", 1.0), ("Home", 0.0)):
        slider.press(key)
        fake = int((values < threshold).sum())
        said = text("jobs.histogram.value", threshold=f"{threshold:.2f}", fake=fake, real=len(values) - fake)
        expect(slider).to_have_attribute("aria-valuetext", said)
    choose_filter(page, "fake")
    expect(page.locator("#jobs")).to_contain_text(text("jobs.table.empty"))
    assert faults(page) == []
    page.get_by_role("button", name=text("jobs.histogram.reset", threshold="0.50")).click()
    expect(slider).to_have_value("0.5")


def test_files_are_those_of_the_service(page: Page, result: Result) -> None:
    def save(name: str) -> bytes:
        with page.expect_download() as download:
            page.get_by_role("button", name=f"{TEAM}_{name}").click()
        assert download.value.suggested_filename == f"{TEAM}_{name}"
        return download.value.path().read_bytes()

    stored = result.server.log.with_name(f"{TEAM}_prediction.json").read_bytes()
    assert save("prediction.json") == result.get("result") == stored
    assert save("prediction.csv") == result.get("result?format=csv")
    assert save("unreadable.json") == result.get("unreadable")
    page.get_by_role("radio", name=text("jobs.downloads.FAKE")).check()
    fake = save("prediction.json")
    assert fake == result.get("result?positive=FAKE") != stored
    sums = [row["prediction"] + result.rows[row["image_id"]] for row in json.loads(fake)]
    assert sums == pytest.approx([1] * len(result.rows))
    rows = list(csv.DictReader(io.StringIO(save("prediction.csv").decode())))
    assert {row["image_id"]: float(row["prediction"]) for row in rows} == pytest.approx(
        {name: 1 - value for name, value in result.rows.items()}
    )


def test_the_table_has_the_rows_in_view_alone(page: Page) -> None:
    grid = page.get_by_role("grid")
    grid.focus()
    for key, name in (("End", "size-4.png"), ("Home", "broken-0.png"), ("PageDown", None)):
        grid.press(key)
        active = page.locator(f"#{grid.get_attribute('aria-activedescendant')}")
        expect(active).to_be_in_viewport()
        if name is not None:
            expect(active).to_have_text(name)
    assert 10 < page.get_by_role("row").count() < 100


def test_a_result_can_be_deleted(open_page: OpenPage, stand_in: GunicornServer, tmp_path: Path) -> None:
    picture = tmp_path / "sky.png"
    picture.write_bytes(grey(204))
    with Client(address(stand_in)) as client:
        job = client.wait(client.submit([picture], "deleted"), timeout=60, progress=False)
    page = open_page(stand_in, f"/#job={job.id}")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name=text("jobs.result.delete")).click()
    expect(page.get_by_role("grid")).to_be_hidden()
    assert stand_in.get(f"/batch/{job.id}")[0] == 404
    assert page.evaluate("location.hash") == ""
