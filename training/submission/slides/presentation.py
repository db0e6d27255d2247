"""The presentation of a run, slide by slide."""

import sys
from pathlib import Path

from pptx.presentation import Presentation as Deck

from training.submission.slides import closing, opening, results
from training.submission.slides.facts import Facts, collect
from training.submission.slides.layout import new_deck

SLIDES = (
    opening.title,
    opening.quiz,
    opening.labels,
    opening.method,
    results.curves,
    results.epochs,
    results.confusion,
    results.calibration,
    results.answers,
    results.errors,
    results.heat_maps,
    closing.comparison,
    closing.limits,
    closing.outlook,
)


def presentation(team: str, run: Path, data: Path, predicted: int) -> Deck:
    """Slides of a run folder.

    data: the data set of the run, whose validation pictures are shown. predicted: number of test pictures.
    What the run or the data cannot tell is left out, and standard error says why. Raises DataError if `run`
    is not a run folder of `train`.
    """
    facts = collect(team, run, data, predicted)
    for reason in facts.missing:
        print(f"some slides are left out: {reason}", file=sys.stderr)
    return draw(facts)


def draw(facts: Facts) -> Deck:
    """Those of SLIDES that the facts suffice for."""
    deck = new_deck(facts.team)
    for add in SLIDES:
        add(deck, facts)
    return deck
