"""Which pictures of CIFAKE's published test split the project's figures are of.

The split has 20,000 pictures; the project had one half of them, with copies of a picture on the same side.
Its fingerprints stand in a file beside this module, in the format of `training.data.fingerprints`.
"""

from pathlib import Path

from training.data.errors import DataError
from training.data.fingerprints import SUFFIX, contained, fingerprints, read_fingerprints
from training.data.labelled_images import LabelledImages

OURS = Path(__file__).with_name("cifake_test").with_suffix(SUFFIX)
COUNT = 10_000
SHA256 = "a85ec266ad8deffecc60dd893941292c493c56632e3981eeedc69f96a5698fda"
"""`LabelledImages.digest` of the project's half, at 32x32 pixels."""


def select_ours(pictures: LabelledImages) -> LabelledImages:
    """Those of a test split that are in the project's half, in their order, in whatever size they were read.

    Pictures of another decoder are found, too; fewer than 1 in 10,000 others are taken for one of them.
    Raises DataError if there is none.
    """
    known = read_fingerprints(OURS, SHA256)
    if known is None:
        raise DataError(f"there is no file {OURS}, which is part of the project: fetch it anew")
    found = contained(fingerprints(pictures.images), known)
    if not found.any():
        raise DataError(
            f"none of the {len(pictures)} pictures is in the project's half of CIFAKE's test split: give "
            "--split published to evaluate all of them"
        )
    return pictures.select(found.nonzero()[0])


def describe_selection(selected: LabelledImages, total: int) -> str:
    """How many pictures of how many were selected, and whether they are those of the project's figures."""
    same = "the same, pixel for pixel, as" if selected.digest() == SHA256 else "not exactly those of"
    return (
        f"--split ours: {len(selected)} of the {total} pictures are used, {same} the {COUNT} that the "
        "project's figures are of"
    )
