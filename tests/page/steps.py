"""What a person does on the page, and what a test then looks at."""

import base64
from collections.abc import Mapping

import numpy as np
from playwright.sync_api import Locator, Page, expect

from tests.page.texts import text
from tests.pictures import encode


def grey(brightness: int, width: int = 32, height: int = 32) -> bytes:
    """A PNG of one grey, 0 to 255. To the stand-in P(REAL) is its share of 255; up to 25 is out of domain."""
    return encode(np.full((height, width, 3), brightness, np.uint8))


def choose(page: Page, files: Mapping[str, bytes]) -> None:
    """Choose files with the page's button."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=text("drop.files")).click()
    chooser.value.set_files(
        [{"name": name, "mimeType": "", "buffer": content} for name, content in files.items()]
    )


def give(page: Page, event: str, files: Mapping[str, bytes]) -> None:
    """Dispatch `paste` or `drop` with files."""
    contents = {name: base64.b64encode(content).decode() for name, content in files.items()}
    page.evaluate(
        """([event, contents]) => {
            const data = new DataTransfer();
            for (const [name, content] of Object.entries(contents)) {
                const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
                data.items.add(new File([bytes], name, { type: "image/png" }));
            }
            const options = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(
                event === "paste"
                    ? new ClipboardEvent(event, { ...options, clipboardData: data })
                    : new DragEvent(event, { ...options, dataTransfer: data }),
            );
        }""",
        [event, contents],
    )


def cards(page: Page, state: str = "answered") -> Locator:
    """The cards of pictures in this state: waiting, asking, answered or failed."""
    return page.locator(f"#cards > li[data-state={state}]")


def card(page: Page, name: str) -> Locator:
    return page.locator("#cards > li").filter(has=page.get_by_role("heading", name=name, exact=True))


def show_tab(page: Page, name: str) -> Locator:
    """Choose a tab by its text's key, such as `model`; returns its panel."""
    page.get_by_role("tab", name=text(f"page.{name}")).click()
    panel = page.get_by_role("tabpanel", name=text(f"page.{name}"))
    expect(panel).to_be_visible()
    return panel
