"""Accuracies published elsewhere, for comparison: of what, on what, and where they stand.

Those of the project's own documents are held to them by a test.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """accuracy: as text, in per cent. document: of this project, whose text has the figure; empty if none."""

    what: str
    judged_on: str
    accuracy: str
    source: str
    document: str


PUBLISHED = (
    Published(
        "CNN of the CIFAKE paper",
        "CIFAKE, as published",
        "92.98 %",
        "Bird & Lotfi 2024, IEEE Access 12",
        "",
    ),
    Published(
        "Shipped model",
        "10,000 of CIFAKE's test pictures, not trained on",
        "98.28 %",
        "README.md",
        "README.md",
    ),
    Published(
        "Recipe hackathon, five folds",
        "2,000 of them, likewise",
        "98.30 %",
        "training/README.md",
        "training/README.md",
    ),
    Published(
        "Predictathon 2025, published",
        "the pictures it was trained on",
        "99.85 %",
        "its authors, in training/README.md",
        "training/README.md",
    ),
    Published(
        "Synergy'25, published",
        "its validation pictures",
        "about 90 %",
        "its authors, in training/README.md",
        "training/README.md",
    ),
)
