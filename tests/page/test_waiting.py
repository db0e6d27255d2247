"""What the page does while the service is busy, gone, or wants a key."""

from pathlib import Path

from playwright.sync_api import Route, expect

from api.security.key_file import Key, write_keys
from tests.gunicorn_server import STAND_IN, GunicornServer, gunicorn_server
from tests.page.browser import address
from tests.page.conftest import OpenPage
from tests.page.looks import faults
from tests.page.steps import card, cards, choose, grey, show_tab
from tests.page.texts import text

ALICE, KEY = Key.new("alice", "user")


def test_who_asks_too_often_waits_and_is_answered(open_page: OpenPage, tmp_path: Path) -> None:
    with gunicorn_server(tmp_path, application=STAND_IN, WORKERS="1", RATE_LIMIT="2/second") as server:
        page = open_page(server)
        choose(page, {f"{number}.png": grey(204) for number in range(4)})
        expect(page.locator("#cards")).to_contain_text(text("wait.limited", count=1))
        expect(cards(page)).to_have_count(4)


def test_a_server_that_is_gone_is_waited_for(open_page: OpenPage, tmp_path: Path) -> None:
    with gunicorn_server(tmp_path, application=STAND_IN, WORKERS="1") as server:
        page = open_page(server)
    choose(page, {"sky.png": grey(204)})
    expect(card(page, "sky.png")).to_contain_text(text("wait.gone"))
    assert faults(page) == []
    with gunicorn_server(tmp_path, application=STAND_IN, port=server.port, WORKERS="1"):
        expect(cards(page)).to_have_count(1)


def test_nothing_moves_for_who_wants_that(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in)
    held: list[Route] = []
    page.route("**/predict*", lambda route: held.append(route))
    choose(page, {"sky.png": grey(204)})
    expect(cards(page, "asking")).to_have_count(1)
    assert page.evaluate("document.getAnimations().filter((one) => one.playState === 'running').length") == 0
    assert faults(page) == []
    for route in held:
        route.abort()


def test_a_key_is_asked_for_and_kept_by_the_tab_alone(open_page: OpenPage, tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.json", [ALICE])
    keys_file = str(tmp_path / "keys.json")
    with gunicorn_server(tmp_path, application=STAND_IN, WORKERS="1", KEYS_FILE=keys_file) as server:
        page = open_page(server)
        dialog = page.get_by_role("dialog", name=text("key.title"))
        field = dialog.get_by_label(text("key.label"))
        choose(page, {"sky.png": grey(204), "sea.png": grey(204)})
        expect(field).to_be_focused()
        assert faults(page) == []
        page.keyboard.press("Escape")
        expect(cards(page, "failed")).to_have_count(2)
        expect(card(page, "sky.png")).to_contain_text(text("problems.unauthorized.0"))
        assert faults(page) == []

        card(page, "sky.png").get_by_role("button", name=text("card.retry")).click()
        field.fill("cifake_wrong")
        field.press("Enter")
        expect(dialog).to_contain_text(text("key.refused"))
        assert faults(page) == []
        field.fill(KEY)
        dialog.get_by_role("button", name=text("key.send")).click()
        expect(cards(page)).to_have_count(1)
        expect(dialog).to_be_hidden()
        assert KEY not in page.content() + page.url
        assert KEY not in show_tab(page, "programs").inner_text()
        assert KEY in page.evaluate("JSON.stringify({ ...sessionStorage })")
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        assert page.context.cookies() == []

        page.reload()
        choose(page, {"sky.png": grey(204)})
        expect(cards(page)).to_have_count(1)
        other = page.context.new_page()
        other.goto(address(server))
        choose(other, {"sky.png": grey(204)})
        expect(other.get_by_role("dialog")).to_be_visible()
