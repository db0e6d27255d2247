"""The last slides: published figures, limits, what next."""

from pptx.presentation import Presentation as Deck

from training.evaluation.run_folder import describe_recipe
from training.submission.slides.facts import Facts
from training.submission.slides.layout import BODY_TOP, BODY_WIDTH, MARGIN, Canvas
from training.submission.slides.published import PUBLISHED
from training.submission.slides.shapes import Box


def comparison(deck: Deck, facts: Facts) -> None:
    """The run's accuracy beside published ones."""
    metrics = facts.metrics
    rows = [["", "judged on", "accuracy", "source"]]
    rows.append(
        [
            f"This run, recipe {describe_recipe(facts.report['recipe'])}",
            f"its {metrics['pictures']:,} validation pictures",
            f"{metrics['accuracy']:.2%}",
            "metrics.json",
        ]
    )
    rows += [[one.what, one.judged_on, one.accuracy.replace(" %", "%"), one.source] for one in PUBLISHED]
    canvas = Canvas(
        deck,
        "Beside published figures",
        facts.overlap,
        "Other pictures, other splits: no ranking. CIFAKE paper: doi 10.1109/ACCESS.2024.3356122.",
    )
    canvas.table(
        Box(MARGIN, BODY_TOP, BODY_WIDTH, 0.75 * len(rows)),
        rows,
        (3.2, 3.9, 1.4, 3.6),
        marked=1,
        numbers=False,
    )


def limits(deck: Deck, facts: Facts) -> None:
    """What the figures do not say."""
    metrics = facts.metrics
    low, high = metrics["accuracy_interval"]
    points = [
        ("Slightly optimistic", "The validation pictures also chose epoch and calibration."),
        ("An estimate", f"95 % interval of the accuracy: {low:.1%} to {high:.1%}."),
        ("One generator", "Stable Diffusion 1.4, ten kinds of things, 32x32 pixels."),
        ("No proof", "Do not accuse anybody on its word alone."),
    ]
    if facts.overlap:
        points.insert(1, ("Seen before", facts.overlap))
    Canvas(deck, "Limits", notes="More of them in model/MODEL_CARD.md.").points(points)


def outlook(deck: Deck, facts: Facts) -> None:
    """What to do next."""
    Canvas(deck, "What next", notes="The service is described in api/README.md.").points(
        [
            ("Other generators", "Judge on pictures of newer ones before training on them."),
            ("Unseen pictures", "Judge on what none of the weights were trained on."),
            ("Larger pictures", "Look at parts at full size, not at 32x32 pixels of all."),
            ("Try it now", "make serve; curl -F file=@cat.png localhost:8000/predict"),
        ]
    )
