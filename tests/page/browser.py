"""The browser that looks at the page: Debian's Chromium, or Chrome."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.gunicorn_server import GunicornServer

NAMES = ("chromium", "chromium-browser", "google-chrome")


def browser_path() -> str:
    """Raises FileNotFoundError."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    raise FileNotFoundError(f"there is no browser: none of {', '.join(NAMES)} is in the PATH")


@contextmanager
def launched(path: str) -> Iterator[Browser]:
    """The browser, without a window. As root it runs without its sandbox, which root cannot have."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


def address(server: GunicornServer) -> str:
    return f"http://127.0.0.1:{server.port}"
