"""Pictures and their cards."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.gunicorn_server import GunicornServer
from tests.page.conftest import OpenPage
from tests.page.looks import faults
from tests.page.steps import card, cards, choose, give, grey
from tests.page.texts import text
from tests.pictures import encode, noise


def test_the_page_before_anything_was_done(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in)
    expect(page.get_by_role("heading", level=1)).to_have_text(text("page.title"))
    expect(page.locator("#answers")).to_be_hidden()
    assert faults(page) == []


def test_a_picture_is_answered(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in)
    choose(page, {"sky.png": grey(204)})
    answer = card(page, "sky.png")
    expect(answer).to_contain_text(text("labels.REAL"))
    expect(answer).to_contain_text("REAL")
    expect(answer).to_contain_text(text("verdict.percent", percent="80%"))
    expect(answer).to_contain_text(text("verdict.probably"))
    expect(answer).to_contain_text(text("verdict.meaning", count=100, right=80))
    expect(answer).to_contain_text(text("provenance.nothing"))
    seen = answer.get_by_role("img", name=text("card.viewAlt", size=32))
    assert seen.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [32, 32]
    assert seen.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    assert faults(page) == []


def test_ten_at_once_are_answered_in_their_order(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in)
    files = {f"{number}.png": grey(40 + 20 * number) for number in range(10)}
    choose(page, files)
    expect(cards(page)).to_have_count(10)
    expect(cards(page).get_by_role("heading", level=3)).to_have_text(list(files))
    summary = page.locator("#answers-summary")
    expect(summary).to_contain_text(text("answers.REAL", count=5))
    expect(summary).to_contain_text(text("answers.FAKE", count=5))
    spoken = text("answers.spokenAll", count=10, summary=summary.inner_text())
    expect(page.locator("#live")).to_contain_text(spoken)


def test_what_cannot_be_read_says_why_among_what_can(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in)
    files = {
        "good.png": grey(204),
        "broken.png": encode(noise(1, 200, 200))[:2000],
        "letter.txt": b"Dear all",
        "large.png": encode(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)),
        "another.png": grey(204),
    }
    choose(page, files)
    expect(cards(page)).to_have_count(2)
    reasons = {"broken.png": "broken-file", "letter.txt": "unsupported-format", "large.png": "too-large"}
    for name, slug in reasons.items():
        expect(card(page, name)).to_contain_text(text(f"problems.{slug}.0"))
        expect(card(page, name)).to_contain_text(text(f"problems.{slug}.1"))
    assert faults(page) == []


@pytest.mark.parametrize(
    ("picture", "reason"),
    [(encode(noise(2, 64, 48)), "size"), (grey(10), "content")],
    ids=["size", "content"],
)
def test_out_of_the_domain_the_notice_comes_first(
    open_page: OpenPage, stand_in: GunicornServer, picture: bytes, reason: str
) -> None:
    page = open_page(stand_in)
    choose(page, {"other.png": picture})
    expect(cards(page)).to_have_count(1)
    words = card(page, "other.png").inner_text()
    notice, label = words.index(text(f"verdict.{reason}.title")), re.search("REAL|FAKE", words)
    assert label is not None
    assert notice < label.start()
    assert "%" not in words[: label.start()]
    if reason == "size":
        assert text("verdict.size.text", size=32, width=64, height=48) in words
    assert faults(page) == []


def test_a_heat_map_is_laid_over_what_the_network_saw(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in)
    choose(page, {"sky.png": grey(204)})
    page.get_by_role("button", name=text("heat.show")).click()
    figures = card(page, "sky.png").locator("figure")
    expect(figures).to_have_count(2)
    overlay = figures.filter(has_text=text("card.view")).locator("canvas")
    expect(overlay).to_be_visible()
    expect(figures.locator("canvas")).to_have_count(1)  # the other picture stays to be compared
    expect(page.locator("#live")).to_contain_text(text("heat.done"))
    slider = page.get_by_label(text("heat.strength"))
    slider.focus()
    for key, opacity in (("Home", "0"), ("End", "1"), ("ArrowLeft", "0.99")):
        slider.press(key)
        expect(overlay).to_have_css("opacity", opacity)
    assert faults(page) == []
    page.get_by_role("button", name=text("heat.hide")).click()
    expect(figures.locator("canvas")).to_have_count(0)
    expect(page.get_by_role("button", name=text("heat.show"))).to_be_focused()


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_pictures_may_be_pasted_or_dropped(open_page: OpenPage, stand_in: GunicornServer, event: str) -> None:
    page = open_page(stand_in)
    give(page, event, {"one.png": grey(204), "two.png": grey(40)})
    expect(cards(page)).to_have_count(2)


def test_cards_can_be_removed(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in)
    choose(page, {f"{number}.png": grey(204) for number in range(3)})
    expect(cards(page)).to_have_count(3)
    page.get_by_role("button", name=text("card.remove", name="1.png")).press("Enter")
    expect(cards(page)).to_have_count(2)
    expect(page.get_by_role("button", name=text("card.remove", name="2.png"))).to_be_focused()
    page.get_by_role("button", name=text("answers.removeAll")).press("Enter")
    expect(page.locator("#answers")).to_be_hidden()
    expect(page.get_by_role("button", name=text("drop.files"))).to_be_focused()


def test_a_name_is_words_and_nothing_else(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in)
    name = "<img src=x onerror=alert(1)>{name}\u202egnp.exe"
    choose(page, {name: grey(204), "n" * 200 + ".png": grey(204)})
    expect(cards(page)).to_have_count(2)
    expect(cards(page).first.get_by_role("heading", level=3)).to_have_text(name)
    assert faults(page) == []


def test_what_the_browser_cannot_show_is_answered(open_page: OpenPage, stand_in: GunicornServer) -> None:
    page = open_page(stand_in)
    choose(page, {"scan.tiff": encode(np.full((32, 32, 3), 204, np.uint8), "TIFF")})
    expect(cards(page)).to_have_count(1)
    expect(card(page, "scan.tiff")).to_contain_text(text("card.viewOnly"))
    assert faults(page) == []


def test_examples_are_answered_and_tell_the_truth(open_page: OpenPage, real: GunicornServer) -> None:
    page = open_page(real)
    examples = page.locator("#examples").get_by_role("button")
    for example in examples.all():
        example.click()
    expect(cards(page)).to_have_count(examples.count())
    for answer in cards(page).all():
        words = answer.inner_text()
        if text("examples.truth.drawn") in words:
            assert text("verdict.size.title") in words
        else:
            label = "REAL" if re.search(r"\bREAL\b", words) else "FAKE"
            right = text(f"examples.truth.{label}") in words
            assert text("examples.right" if right else "examples.wrong") in words
    assert faults(page) == []
