"""The README of the hackathon's ZIP: what each file is, by what model the predictions are, how good it is."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from training.evaluation.run_folder import backbone_title, describe_recipe
from training.evaluation.validation_overlap import describe_overlap, has_unseen

WIDTH = 110  # characters of a line
PLOTS = {
    "loss_curve": "the loss of each epoch, on training and validation pictures",
    "accuracy_curve": "the accuracy of each epoch, likewise",
    "confusion": "the validation pictures by label and answer",
    "roc": "the ROC curve on the validation pictures",
    "reliability": "accuracy by confidence on the validation pictures",
}
NOTEBOOKS = {
    "training.ipynb": "from the archive to the model",
    "evaluation.ipynb": "from the model to this ZIP, and to a service that answers",
}


def readme(
    team: str,
    report: dict[str, Any],
    predicted: int,
    above: int,
    plots: Iterable[str],
    remarks: Sequence[str],
) -> str:
    """The README's text, as Markdown.

    report: the run's `metrics.json`. predicted, above: numbers of predictions, and of those of 0.5 or more.
    plots: names of the plots in the ZIP, keys of PLOTS. remarks: sentences on what the predictions are.
    """
    recipe = report["recipe"]
    files = [
        f"- `{team}_prediction.json`: {predicted} predictions from 0 to 1; {above} are 0.5 or more.",
        f"- `{team}_presentation.pptx`: slides on the data, the method and the results.",
        "- `MODEL_CARD.md`: what the model is, what it was trained on, its figures and its limits.",
        *(f"- `plots/{name}.png`: {PLOTS[name]}." for name in plots),
        *(
            f"- `notebooks/{name}`: {what}; it runs in the project's repository."
            for name, what in NOTEBOOKS.items()
        ),
    ]
    return paragraphs(
        f"# {team}",
        files,
        *remarks,
        f"Model: {backbone_title(recipe)}, recipe `{describe_recipe(recipe)}`, initial weights "
        f"`{recipe['init']}`, trained on {report['data']['training']['pictures']} pictures. "
        f"{_figures(report)}",
        *report.get("notes", ()),
        f'The pictures with label 1 ("real") in the training data are {report["data"]["label_1"]} pictures.',
    )


def paragraphs(*parts: str | Sequence[str]) -> str:
    """Markdown of paragraphs, which are wrapped, and of lists and tables, given as their lines."""
    texts = [
        textwrap.fill(part, WIDTH, break_on_hyphens=False) if isinstance(part, str) else "\n".join(part)
        for part in parts
    ]
    return "\n\n".join(texts) + "\n"


def _figures(report: dict[str, Any]) -> str:
    """Accuracy and AUROC on the validation pictures, and how many the initial weights had seen.

    No accuracy is told where they had seen all.
    """
    overlap = describe_overlap(report)
    if not has_unseen(report):
        return overlap
    metrics = report["validation"]
    low, high = metrics["accuracy_interval"]
    return (
        f"On {metrics['pictures']} validation pictures that were held out from this training: accuracy "
        f"{metrics['accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%}), AUROC {metrics['auroc']:.4f}. "
        f"{overlap}".rstrip()
    )
