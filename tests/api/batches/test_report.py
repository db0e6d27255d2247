import json
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from api.batches.classify import FileResult
from api.batches.options import BatchOptions
from api.batches.report import PARTS, detailed, make_report, with_positive
from model.metadata import Label
from tests.conftest import MeanPredictor

LABELS = get_args(Label)
NAMES = st.text(st.characters(exclude_characters="/"), min_size=1, max_size=8)
PREDICTIONS = st.integers(0, 10**6).map(lambda millionths: round(millionths / 10**6, 6))


@settings(derandomize=True, deadline=None)
@given(
    files=st.dictionaries(NAMES, PREDICTIONS, min_size=1, max_size=8),
    reasons=st.lists(st.sampled_from([None, "size", "content"]), min_size=8, max_size=8),
    submitted=st.sampled_from(LABELS),
    asked=st.sampled_from(LABELS),
)
def test_the_parts_for_a_label_are_those_of_a_batch_that_was_asked_for_it(
    files: dict[str, float], reasons: list[str | None], submitted: Label, asked: Label
) -> None:
    results = [
        FileResult(name, prediction, reason)
        for (name, prediction), reason in zip(files.items(), reasons, strict=False)
    ]
    model = MeanPredictor.metadata
    first, other = (
        make_report(results, BatchOptions("x", label, True), model, 1.5) for label in (submitted, asked)
    )
    assert with_positive(first.parts, asked) == other.parts
    assert with_positive(with_positive(first.parts, asked), submitted) == first.parts
    parts = other.parts
    assert json.loads(detailed(parts)) == {name: json.loads(parts[name]) for name in PARTS}


def test_no_prediction_is_changed_by_asking_for_the_other_label_and_back() -> None:
    """Of those that six digits can tell, every seventh."""
    predictions = [round(millionths / 10**6, 6) for millionths in [*range(0, 10**6, 7), 10**6]]
    others = [round(1 - prediction, 6) for prediction in predictions]
    assert [round(1 - other, 6) for other in others] == predictions
