"""The page without a mouse."""

import pytest
from playwright.sync_api import Page, expect

from tests.gunicorn_server import GunicornServer
from tests.page.conftest import OpenPage
from tests.page.steps import card, cards
from tests.page.texts import text

FOCUSED = """() => {
    const one = document.activeElement;
    const { outlineStyle, boxShadow } = getComputedStyle(one);
    const { width, height } = one.getBoundingClientRect();
    return {
        name: one.getAttribute("aria-label") ?? one.querySelector("img")?.alt ?? one.textContent.trim(),
        seen: width > 0 && height > 0 && (outlineStyle !== "none" || boxShadow !== "none"),
    };
}"""


def walk(page: Page, end: str) -> list[str]:
    """Press Tab until what has this name has the focus; the names on the way. Each shows that it has it."""
    names = []
    while end not in names:
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        assert focused["seen"], focused
        assert len(names) < 50, names
        names.append(focused["name"])
    return names


def test_an_example_is_chosen_and_its_answer_read(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in)
    example = text("examples.button", number=2, name=text("examples.aeroplane"))
    before = [text("page.check"), text("drop.files"), text("drop.folder")]
    first = text("examples.button", number=1, name=text("examples.cat"))
    assert walk(page, example) == [*before, first, example]
    page.keyboard.press("Enter")
    expect(cards(page)).to_have_count(1)
    answer = card(page, cards(page).get_by_role("heading", level=3).inner_text())
    expect(page.locator("#live")).to_contain_text(answer.locator("strong").first.inner_text())
    walk(page, text("heat.show"))
    page.keyboard.press("Enter")
    expect(answer.locator("figure canvas")).to_have_count(1)
    expect(answer.get_by_role("button", name=text("heat.hide"))).to_be_focused()
    walk(page, text("page.docs"))


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_arrows_move_among_the_tabs(open_page: OpenPage, stand_in: GunicornServer, direction: str) -> None:
    page = open_page(stand_in)
    page.evaluate("(direction) => (document.documentElement.dir = direction)", direction)
    forward, back = ("ArrowRight", "ArrowLeft") if direction == "ltr" else ("ArrowLeft", "ArrowRight")
    page.get_by_role("tab", name=text("page.check")).focus()
    steps = [
        (forward, "programs"),
        (forward, "model"),
        (forward, "check"),
        (back, "model"),
        ("Home", "check"),
    ]
    for key, name in [*steps, ("End", "model")]:
        page.keyboard.press(key)
        tab = page.get_by_role("tab", selected=True)
        expect(tab).to_have_text(text(f"page.{name}"))
        expect(tab).to_be_focused()
        expect(page.get_by_role("tabpanel")).to_have_accessible_name(text(f"page.{name}"))
