"""The page in a browser, which finds the service as people do.

Every test's tab is watched: an error in the console, a request to another origin, a file of the page that
is not there or a violation of the Content-Security-Policy fails the test.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    expect,
)

from tests.gunicorn_server import STAND_IN, GunicornServer, gunicorn_server
from tests.page.browser import address, browser_path, launched

SECONDS = 20  # that a condition may take on a busy machine
USUAL = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}  # no test waits for a motion
STATUS_OF_A_REQUEST = "Failed to load resource:"  # the browser's own line for an answer that is a problem

OpenPage = Callable[..., Page]

expect.set_options(timeout=SECONDS * 1000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium or Chrome. Of a module: while Playwright runs, its thread has an event loop."""
    try:
        path = browser_path()
    except FileNotFoundError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    with launched(path) as browser:
        yield browser


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GunicornServer]:
    """A service that answers with the mean brightness of a picture."""
    folder = tmp_path_factory.mktemp("stand_in")
    with gunicorn_server(folder, application=STAND_IN, WORKERS="1", MAX_IMAGE_BYTES="200000") as server:
        yield server


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GunicornServer]:
    """A service with the shipped model."""
    with gunicorn_server(tmp_path_factory.mktemp("real"), WORKERS="1") as server:
        yield server


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens the page of a server in a tab of its own profile; options are those of Browser.new_context."""
    with ExitStack() as profiles:

        def open_it(server: GunicornServer, path: str = "/", **options: object) -> Page:
            page = profiles.enter_context(watched(browser, address(server), **options)).new_page()
            page.goto(address(server) + path)
            return page

        yield open_it


@contextmanager
def watched(browser: Browser, origin: str, **options: object) -> Iterator[BrowserContext]:
    """A profile whose tabs must not say anything wrong until it is closed."""
    faults: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(STATUS_OF_A_REQUEST):
            faults.append(f"console: {message.text}")

    def look_at(response: Response) -> None:
        path = urlsplit(response.url).path
        if response.status >= 400 and (path == "/" or path.startswith("/static/")):
            faults.append(f"{response.status}: {response.url}")

    def look_where(url: str) -> None:
        if not url.startswith((f"{origin}/", f"blob:{origin}/", "data:")):
            faults.append(f"a request to {url}")

    context = browser.new_context(**USUAL | options)
    context.set_default_timeout(SECONDS * 1000)
    context.on("console", hear)
    context.on("weberror", lambda uncaught: faults.append(f"uncaught: {uncaught.error}"))
    context.on("response", look_at)
    context.on("request", lambda request: look_where(request.url))
    yield context
    context.close()
    assert faults == []
