"""The tests of the page see what is wrong with it."""

import pytest
from playwright.sync_api import Browser

from tests.gunicorn_server import GunicornServer
from tests.page.browser import address
from tests.page.conftest import OpenPage, watched
from tests.page.looks import faults

WRONG = {
    "console.error('out of order')": "console: out of order",
    "setTimeout(() => { throw new Error('not caught') })": "uncaught: not caught",
    "fetch('http://127.0.0.1:9/').catch(() => {})": "Content Security Policy",
    "document.body.append(Object.assign(new Image(), { src: 'static/nowhere.png' }))": "404: ",
    "document.body.setAttribute('style', 'color: red')": "Content Security Policy",
}
SHOWN = {
    "button.textContent = ''": "button-name: ",
    "button.style.color = 'silver'": "color-contrast: ",
    "button.style.marginInlineStart = '500px'": "320 px, rtl: ",
}


@pytest.mark.parametrize(("script", "words"), WRONG.items(), ids=WRONG.values())
def test_what_goes_wrong_is_heard(
    browser: Browser, stand_in: GunicornServer, script: str, words: str
) -> None:
    with pytest.raises(AssertionError, match=words), watched(browser, address(stand_in)) as context:
        page = context.new_page()
        page.goto(address(stand_in))
        page.evaluate(f"() => {{ {script} }}")
        page.wait_for_load_state("networkidle")
        page.evaluate("new Promise((resolve) => setTimeout(resolve))")


@pytest.mark.parametrize(("change", "words"), SHOWN.items(), ids=SHOWN.values())
def test_what_looks_wrong_is_found(
    open_page: OpenPage, stand_in: GunicornServer, change: str, words: str
) -> None:
    page = open_page(stand_in)
    page.evaluate(f"() => {{ const button = document.getElementById('choose-folder'); {change} }}")
    assert any(fault.startswith(words) for fault in faults(page))
