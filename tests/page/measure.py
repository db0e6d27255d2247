"""How fast the page is: `python -m tests.page.measure [--rounds N]` starts the service and prints a table."""

import argparse
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, Route, expect

from tests.gunicorn_server import gunicorn_server
from tests.page.browser import address, browser_path, launched
from tests.page.steps import choose, grey

ROWS = 10_000
JOB = {
    "id": "a" * 32,
    "team": "large",
    "state": "done",
    "total": ROWS,
    "done": ROWS,
    "unreadable": 0,
    "seconds_left": None,
    "created": "2026-01-01T00:00:00Z",
    "started": "2026-01-01T00:00:00Z",
    "finished": "2026-01-01T00:01:00Z",
    "reason": None,
}
RESULT = {
    "predictions": [
        {"image_id": f"{number}.png", "prediction": number * 7919 % ROWS / ROWS} for number in range(ROWS)
    ],
    "unreadable": [],
    "out_of_domain": [],
    "summary": {
        "pictures": ROWS,
        "real": ROWS // 2,
        "fake": ROWS // 2,
        "unreadable": 0,
        "seconds": 60.0,
        "model": "0" * 12,
        "positive": "REAL",
        "out_of_domain": {"size": 0, "content": 0},
    },
}

SIZES = """Object.fromEntries(
    [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
        .map(({ name, decodedBodySize }) => [name, decodedBodySize]),
)"""
# Milliseconds from the change of the file input until the answer is drawn.
FIRST_CARD = """async () => {
    const list = document.getElementById("cards");
    await new Promise((resolve) => {
        const look = () => list.querySelector("[data-state=answered]") && resolve();
        new MutationObserver(look).observe(list, { subtree: true, childList: true, attributes: true });
        look();
    });
    await new Promise(requestAnimationFrame);
    return performance.now() - window.chosen;
}"""
# Milliseconds between frames while the whole table goes by.
SCROLL = """async (frames) => {
    const grid = document.querySelector("[role=grid]");
    const gaps = [];
    let last = await new Promise(requestAnimationFrame);
    for (let i = 1; i <= frames; i++) {
        grid.scrollTop = (i / frames) * grid.scrollHeight;
        const now = await new Promise(requestAnimationFrame);
        gaps.push(now - last);
        last = now;
    }
    return gaps;
}"""
FRAMES = 300


def first_card(page: Page) -> float:
    """Milliseconds from the choice of a picture until its answer is drawn."""
    page.evaluate(
        """document.getElementById("file-input")
            .addEventListener("change", () => (window.chosen = performance.now()), { capture: true })"""
    )
    choose(page, {"sky.png": grey(204)})
    return page.evaluate(FIRST_CARD)


def scroll(page: Page, base: str) -> list[float]:
    """Milliseconds of each frame while the table of ROWS rows scrolls."""

    def answer(route: Route) -> None:
        route.fulfill(json=RESULT if "/result" in route.request.url else JOB)

    page.route("**/batch/**", answer)
    page.goto(f"{base}/#job={JOB['id']}")
    expect(page.get_by_role("grid")).to_be_visible()
    return page.evaluate(SCROLL, FRAMES)


def measure(browser: Browser, base: str, rounds: int) -> None:
    first_cards, frames = [], []
    for _ in range(rounds):
        context = browser.new_context()
        page = context.new_page()
        page.goto(base)
        page.wait_for_load_state("networkidle")
        sizes: dict[str, int] = page.evaluate(SIZES)
        first_cards.append(first_card(page))
        frames += scroll(context.new_page(), base)
        context.close()
    own = sum(size for name, size in sizes.items() if not name.endswith(".png"))
    percentile = statistics.quantiles(frames, n=100)[-1]
    rows = {
        "first load: HTML, CSS, JavaScript, bytes": f"{own:,}",
        "first load: requests": len(sizes),
        "first card, ms, of each round": ", ".join(f"{value:.0f}" for value in first_cards),
        f"frames while {ROWS:,} rows scroll, ms, median": f"{statistics.median(frames):.1f}",
        "the same, 99th percentile and longest": f"{percentile:.1f}, {max(frames):.1f}",
    }
    print("| | |\n|---|--:|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.page.measure", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory() as outputs,
        gunicorn_server(Path(outputs)) as server,
        launched(browser_path()) as browser,
    ):
        measure(browser, address(server), rounds)


if __name__ == "__main__":
    main()
