from model import ROOT
from training.submission.slides.published import PUBLISHED


def test_figures_stand_in_the_documents_that_are_named() -> None:
    assert {one.document for one in PUBLISHED} >= {"README.md", "training/README.md"}
    for one in PUBLISHED:
        if one.document:
            text = " ".join((ROOT / one.document).read_text().replace("*", "").split())
            assert one.accuracy.removeprefix("about ") in text


def test_every_figure_has_a_source() -> None:
    for one in PUBLISHED:
        assert one.source
        assert "%" in one.accuracy
    assert any("Bird & Lotfi 2024" in one.source for one in PUBLISHED)
