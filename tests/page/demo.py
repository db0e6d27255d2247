"""Pictures of the page: `python -m tests.page.demo [FOLDER]`.

Starts the service, has an example classified with its heat map, and writes the README's picture of that.
With a folder, pictures of everything go there, in light and dark colours and as on a phone.
"""

import argparse
import io
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from model import ROOT
from tests.gunicorn_server import GunicornServer, gunicorn_server
from tests.page.browser import address, browser_path, launched
from tests.page.steps import cards, choose, show_tab
from tests.page.texts import text
from tests.pictures import encode, noise, zipped

PICTURE = ROOT / "api" / "examples" / "page.png"
MAX_BYTES = 200_000
WINDOW, PHONE = {"width": 1000, "height": 900}, {"width": 390, "height": 844}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": WINDOW, "color_scheme": "light"},
    "dark": {"viewport": WINDOW, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light"},
}


def open_page(browser: Browser, server: GunicornServer, **options: Any) -> Page:
    page = browser.new_page(reduced_motion="reduce", **options)
    page.goto(address(server))
    return page


def explain_an_example(page: Page) -> None:
    """Choose a generated picture, and show its heat map."""
    example = text("examples.button", number=2, name=text("examples.aeroplane"))
    page.get_by_role("button", name=example).click()
    expect(cards(page)).to_have_count(1)
    page.get_by_role("button", name=text("heat.show")).click()
    expect(page.locator("#cards canvas").first).to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    page.mouse.move(0, 0)


def shrunk(screenshot: bytes) -> bytes:
    """A PNG of 256 colours, which are enough for a page."""
    with Image.open(io.BytesIO(screenshot)) as image:
        colours = image.convert("RGB").quantize(
            256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE
        )
    return encode(colours, optimize=True)


def write_all(browser: Browser, server: GunicornServer, folder: Path) -> None:
    """Pictures of everything, as PNG files named for what they show."""

    def shoot(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png", full_page=True)

    for name, options in LOOKS.items():
        page = open_page(browser, server, **options)
        shoot(page, f"{name}-start")
        explain_an_example(page)
        choose(page, {"large.png": encode(noise(0, 400, 300)), "letter.txt": b"Dear all"})
        expect(cards(page)).to_have_count(2)
        expect(cards(page, "failed")).to_have_count(1)
        shoot(page, f"{name}-cards")
        for tab in ("programs", "model"):
            expect(show_tab(page, tab).get_by_role("heading").first).to_be_visible()
            page.wait_for_load_state("networkidle")
            shoot(page, f"{name}-{tab}")
        show_tab(page, "check")
        page.get_by_role("button", name=text("answers.removeAll")).click()
        files = {f"{number}.png": encode(noise(number)) for number in range(100)}
        choose(page, {"holiday.zip": zipped(files | {"notes.png": b"Dear all"})})
        start = page.get_by_role("button", name=text("jobs.form.start"))
        expect(start).to_be_visible()
        shoot(page, f"{name}-form")
        start.click()
        expect(page.get_by_role("grid")).to_be_visible()
        shoot(page, f"{name}-job")
        page.close()


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.page.demo", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="for more pictures")
    folder = parser.parse_args().folder
    with (
        tempfile.TemporaryDirectory() as outputs,
        gunicorn_server(Path(outputs)) as server,
        launched(browser_path()) as browser,
    ):
        page = open_page(browser, server, **LOOKS["light"], device_scale_factor=2)
        explain_an_example(page)
        picture = shrunk(page.screenshot(full_page=True))
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            write_all(browser, server, folder)
    if len(picture) > MAX_BYTES:
        raise SystemExit(f"error: the picture has {len(picture)} bytes, more than {MAX_BYTES}")
    PICTURE.write_bytes(picture)
    print(f"{PICTURE.relative_to(ROOT)}: {len(picture)} bytes")


if __name__ == "__main__":
    main()
