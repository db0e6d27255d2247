"""Batches that go to the service as jobs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect

from tests.gunicorn_server import STAND_IN, GunicornServer, gunicorn_server
from tests.page.conftest import OpenPage
from tests.page.held import GATE, HELD
from tests.page.looks import faults
from tests.page.steps import choose, grey
from tests.page.texts import text
from tests.pictures import zipped

HOLDS = "tests.page.held:served()"
COUNT = 500
BROKEN = range(0, COUNT, 10)  # files that are no pictures


def brightness(number: int) -> int:
    """Of a picture in the archive. The last one keeps the job waiting."""
    return HELD if number == COUNT - 1 else 26 + number % 200


ARCHIVE = {
    "holiday.zip": zipped(
        {f"{number}.png": b"" if number in BROKEN else grey(brightness(number)) for number in range(COUNT)}
    )
}
REAL = sum(brightness(number) > 127 for number in range(COUNT) if number not in BROKEN)
FAKE = COUNT - len(BROKEN) - REAL


class Held(NamedTuple):
    """A server whose job of ARCHIVE waits until the gate is there."""

    server: GunicornServer
    gate: Path


@pytest.fixture(scope="module")
def holding_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GunicornServer]:
    with gunicorn_server(tmp_path_factory.mktemp("held"), application=HOLDS, WORKERS="1") as server:
        yield server


@pytest.fixture
def held(holding_server: GunicornServer) -> Iterator[Held]:
    gate = holding_server.log.with_name(GATE)
    gate.unlink(missing_ok=True)
    yield Held(holding_server, gate)
    gate.touch()


def send(page: Page, files: dict[str, bytes], team: str) -> None:
    """Choose files that make a job, and send it."""
    choose(page, files)
    page.get_by_label(text("jobs.form.team")).fill(team)
    page.get_by_role("button", name=text("jobs.form.start")).click()


def wait_for(page: Page, key: str, team: str) -> None:
    """Until the job's heading is this, such as `jobs.ended.doneTitle`."""
    expect(page.get_by_role("heading", name=text(key, name=team), exact=True)).to_be_visible()


def wait_half_way(page: Page) -> None:
    """Until a part of the results is recorded, while the job waits at the gate."""
    bar = page.get_by_role("progressbar")
    expect(bar).to_have_attribute("value", re.compile("^[1-9]"))
    expect(bar).to_have_accessible_name(re.compile(rf"^\d+ of {COUNT} "))


def job_id(page: Page) -> str:
    return page.evaluate("location.hash").removeprefix("#job=")


def done(page: Page, team: str) -> None:
    """Until there is the result of ARCHIVE."""
    wait_for(page, "jobs.ended.doneTitle", team)
    expect(page.locator("#live")).to_contain_text(text("jobs.ended.spoken", fake=FAKE, real=REAL))


def test_an_archive_is_sent_watched_and_found_again(open_page: OpenPage, held: Held) -> None:
    page = open_page(held.server)
    choose(page, ARCHIVE)
    expect(page.get_by_role("heading", name="holiday.zip")).to_be_focused()
    expect(page.get_by_label(text("jobs.form.team"))).to_have_value("holiday")
    assert faults(page) == []
    page.get_by_role("button", name=text("jobs.form.start")).click()
    wait_half_way(page)
    assert faults(page) == []

    page.reload()
    wait_for(page, "jobs.progress.title", "holiday")
    wait_half_way(page)
    held.gate.touch()
    done(page, "holiday")
    expect(page.locator("#jobs")).to_contain_text(re.compile(rf"\b{len(BROKEN)} unreadable"))
    assert faults(page) == []

    page.reload()
    wait_for(page, "jobs.ended.doneTitle", "holiday")


def test_a_job_can_be_cancelled(open_page: OpenPage, held: Held) -> None:
    page = open_page(held.server)
    send(page, ARCHIVE, "cancelled")
    wait_half_way(page)
    page.get_by_role("button", name=text("jobs.progress.cancel")).click()
    wait_for(page, "jobs.ended.cancelledTitle", "cancelled")
    assert faults(page) == []
    assert json.loads(held.server.get(f"/batch/{job_id(page)}")[1])["state"] == "cancelled"


def test_a_job_goes_on_when_the_server_is_back(open_page: OpenPage, tmp_path: Path) -> None:
    with gunicorn_server(tmp_path, application=HOLDS, WORKERS="1") as server:
        page = open_page(server)
        send(page, ARCHIVE, "restarted")
        wait_half_way(page)
    expect(page.locator("#jobs")).to_contain_text(text("wait.gone"))
    assert faults(page) == []
    with gunicorn_server(tmp_path, application=STAND_IN, port=server.port, WORKERS="1"):
        done(page, "restarted")


def test_many_pictures_are_sent_as_one_job(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in)
    send(page, {f"{number}.png": grey(26 + number) for number in range(25)}, "many")
    wait_for(page, "jobs.ended.doneTitle", "many")
    thumbnails = page.get_by_role("grid").locator("img:visible")
    expect(thumbnails.first).to_have_js_property("naturalWidth", 32)


def test_a_job_that_fails_says_why(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in)
    send(page, {"unsafe.zip": zipped({"../outside.png": grey(204)})}, "unsafe")
    wait_for(page, "jobs.ended.failedTitle", "unsafe")
    expect(page.locator("#jobs")).to_contain_text(text("problems.bad-request.0"))
    assert faults(page) == []
    page.get_by_role("button", name=text("jobs.change")).click()
    expect(page.get_by_label(text("jobs.form.team"))).to_have_value("unsafe")


def test_a_name_that_cannot_be_is_explained(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in)
    send(page, ARCHIVE, "a/b")
    field = page.get_by_label(text("jobs.form.team"))
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(
        re.compile(re.escape(text("jobs.form.otherCharacter", character="/")))
    )
    expect(field).to_have_attribute("aria-invalid", "true")
    assert faults(page) == []


def test_an_address_of_no_job_is_told(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in, "/#job=" + "a" * 32)
    expect(page.locator("#jobs")).to_contain_text(text("jobs.gone.title"))
    assert faults(page) == []
