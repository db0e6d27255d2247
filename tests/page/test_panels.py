"""The tabs for programs and of the model, and what the page loads."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from tests.gunicorn_server import GunicornServer
from tests.page.conftest import OpenPage, watched
from tests.page.looks import faults
from tests.page.steps import cards, choose, grey, show_tab
from tests.page.test_files import FIRST_LOAD_BYTES
from tests.page.texts import text
from tests.served import served

ODD = 'it\'s "odd"; $HOME, & more.png'
MAX_REQUESTS = 25  # of the first load, pictures to try among them
MAX_RELOAD_BYTES = 15_000  # of headers, since the browser has the files


@pytest.mark.parametrize("name", ["sky.png", ODD])
def test_the_calls_that_are_shown_work(
    open_page: OpenPage, stand_in: GunicornServer, tmp_path: Path, name: str
) -> None:
    page = open_page(stand_in)
    choose(page, {name: grey(204)})
    expect(cards(page)).to_have_count(1)
    panel = show_tab(page, "programs")
    (tmp_path / name).write_bytes(grey(204))
    curl = panel.get_by_role("region", name=text("programs.curl"), exact=True).inner_text()
    shell = subprocess.run(["sh", "-c", curl], cwd=tmp_path, capture_output=True, timeout=60, check=True)
    assert json.loads(shell.stdout)["label"] == "REAL"
    python = panel.get_by_role("region", name=text("programs.python"), exact=True).inner_text()
    command = [sys.executable, "-c", python]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "REAL\n"
    assert faults(page) == []


def test_calls_are_copied(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in, permissions=["clipboard-read", "clipboard-write"])
    panel = show_tab(page, "programs")
    name = text("programs.curl")
    panel.get_by_role("button", name=text("copy.named", name=name)).click()
    expect(page.locator("#live")).to_contain_text(text("copy.spoken", name=name))
    shown = panel.get_by_role("region", name=name, exact=True).inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == shown
    assert faults(page) == []


def test_the_model_is_shown_as_the_service_tells_it(open_page: OpenPage, real: GunicornServer) -> None:
    page = open_page(real)
    panel = show_tab(page, "model")
    model = json.loads(real.get("/model")[1])
    expect(panel).to_contain_text(model["digest"])
    accuracy = panel.get_by_role("row", name=text("model.accuracy"))
    expect(accuracy).to_contain_text(f"{model['metrics']['test']['accuracy']:.2%}")
    assert faults(page) == []


def test_a_model_without_a_record_is_shown_too(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in, "/#model")
    expect(page.get_by_role("tabpanel")).to_contain_text(text("model.noMeasures"))
    assert faults(page) == []


def test_the_first_load_is_small_and_a_second_one_is_nothing(
    open_page: OpenPage, stand_in: GunicornServer
) -> None:
    page = open_page(stand_in)
    page.wait_for_load_state("networkidle")
    entries = "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
    sizes = page.evaluate(f"{entries}.map(({{ name, decodedBodySize }}) => [name, decodedBodySize])")
    assert sum(size for name, size in sizes if not name.endswith(".png")) < FIRST_LOAD_BYTES, sizes
    assert len(sizes) <= MAX_REQUESTS
    page.reload()
    page.wait_for_load_state("networkidle")
    sent = page.evaluate(f"{entries}.map(({{ name, transferSize }}) => [name, transferSize])")
    assert sum(size for _, size in sent) < MAX_RELOAD_BYTES, sent


def test_below_another_path_the_page_keeps_to_it(browser: Browser, tmp_path: Path) -> None:
    application = DispatcherMiddleware(NotFound(), {"/some/path": served(output_dir=str(tmp_path))})
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    origin = f"http://127.0.0.1:{server.server_port}"
    try:
        with watched(browser, origin) as context:
            page = context.new_page()
            page.goto(f"{origin}/some/path/")
            choose(page, {"sky.png": grey(204)})
            expect(cards(page)).to_have_count(1)
            expect(show_tab(page, "programs")).to_contain_text(f"{origin}/some/path/predict")
            expect(show_tab(page, "model")).to_contain_text(text("model.noMeasures"))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
