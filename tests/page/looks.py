"""What is wrong with what a tab shows: by axe-core, and by its width."""

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

WIDTHS = (320, 390, 1280)  # of a window, in CSS pixels
RULES = {"rules": {"target-size": {"enabled": True}}}  # and all that are so by default
CONTRAST = {"runOnly": ["color-contrast"]}

VIOLATIONS = """async (options) => {
    const { violations } = await axe.run({ ...options, resultTypes: ["violations"] });
    const words = (rule, node) => `${rule.id}: ${node.html}: ${node.failureSummary}`;
    return violations.flatMap((rule) => rule.nodes.map((node) => words(rule, node)));
}"""
TOO_WIDE = """(direction) => {
    document.documentElement.dir = direction;
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const sticksOut = (one) => {
        const { left, right } = one.getBoundingClientRect();
        return right - left > 1 && (left < -1 || right > clientWidth + 1);
    };
    const found = [...document.querySelectorAll("body *")].filter(sticksOut);
    return found.map((one) => one.outerHTML.slice(0, 100));
}"""


def faults(page: Page) -> list[str]:
    """What breaks WCAG in light or dark colours, and what is wider than the window, in both directions."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(VIOLATIONS, RULES)
    page.emulate_media(color_scheme="dark")
    found += [f"dark: {one}" for one in page.evaluate(VIOLATIONS, CONTRAST)]
    page.emulate_media(color_scheme="light")
    size = page.viewport_size
    assert size is not None
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": size["height"]})
        for direction in ("rtl", "ltr"):
            found += [f"{width} px, {direction}: {one}" for one in page.evaluate(TOO_WIDE, direction)]
    page.set_viewport_size(size)
    return found
