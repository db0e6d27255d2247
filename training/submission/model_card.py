"""The model card of a run's own model, made from its `metrics.json`.

Mitchell et al. 2019, "Model Cards for Model Reporting", arXiv 1810.03993.
"""

from typing import Any

from training.evaluation.run_folder import backbone_title, describe_recipe
from training.evaluation.validation_overlap import describe_overlap, has_unseen
from training.submission.readme import paragraphs

DROPPED = {
    "unreadable": "unreadable",
    "dropped_in_test": "in the test split too",
    "dropped_repeats": "repeats",
    "dropped_contradictions": "with both labels",
}
METRICS = (
    ("accuracy", "accuracy", ".2%"),
    ("precision", "precision of {}", ".4f"),
    ("recall", "recall of {}", ".4f"),
    ("f1", "F1 of {}", ".4f"),
    ("auroc", "AUROC", ".4f"),
    ("ece", "ECE", ".2%"),
)
CITATIONS = [
    '- J. J. Bird, A. Lotfi, "CIFAKE: Image Classification and Explainable Identification of AI-Generated',
    '  Synthetic Images", IEEE Access 12, 2024, doi 10.1109/ACCESS.2024.3356122.',
    '- A. Krizhevsky, G. Hinton, "Learning Multiple Layers of Features from Tiny Images", 2009 (CIFAR-10).',
]


def model_card(team: str, report: dict[str, Any]) -> str:
    """The card as Markdown. report: the `metrics.json` of `train`, with what `Facts` requires of it."""
    size = report["recipe"]["preprocess"]["size"]
    digest = report.get("model_sha256")
    return paragraphs(
        f"# Model card: the model of {team}",
        f"It gives the probability that a picture of {size}x{size} pixels is a photograph (REAL) and not "
        "generated (FAKE). "
        + (
            f"The SHA-256 of its file is `{digest}`."
            if digest
            else "The run has no record of its file's digest."
        ),
        "## Model",
        _model(report),
        *report.get("notes", ()),
        "## Data",
        *_data(report["data"]),
        "## Figures",
        *_figures(report),
        "## Limits",
        _limits(report),
        "## Citations",
        CITATIONS,
    )


def _model(report: dict[str, Any]) -> str:
    recipe, epoch = report["recipe"], report["best_epoch"]
    architecture = recipe["architecture"]
    kept = (
        f"Its weights are those of epoch {epoch}, which has the lowest validation loss."
        if epoch
        else "Its weights are the initial ones, because no epoch has a lower validation loss."
    )
    return (
        f"The network is {backbone_title(recipe)}, stem `{architecture['stem']}`, head "
        f"`{architecture['head']}`, trained by the recipe `{describe_recipe(recipe)}` from the initial "
        f"weights `{recipe['init']}`: "
        f"{recipe['optimizer'].upper()}, learning rate {recipe['learning_rate']:g}, batch "
        f"{recipe['batch_size']}. {kept}"
    )


def _data(data: dict[str, Any]) -> list[str | list[str]]:
    label_1 = data["label_1"]
    meaning = "right" if label_1 == "REAL" else "the wrong way round"
    dropped = [f"{what}: {data[name]}" for name, what in DROPPED.items() if data.get(name)]
    table = ["| | pictures | SHA-256 of pixels and labels |", "|---|--:|---|"]
    for name, title in (("training", "trained on"), ("validation", "validation")):
        table.append(f"| {title} | {data[name]['pictures']} | `{data[name].get('sha256', 'not recorded')}` |")
    return [
        f"The data are a {data['kind']}. Label 1, which they call real, is {label_1} in truth: the labels "
        f"are {meaning}.",
        table,
        *([f"Pictures left out before: {'; '.join(dropped)}."] if dropped else []),
    ]


def _figures(report: dict[str, Any]) -> list[str | list[str]]:
    """The metrics with their intervals, beside what the initial weights had seen; none where that is all."""
    overlap = describe_overlap(report)
    if not has_unseen(report):
        return [overlap]
    metrics, label_1 = report["validation"], report["data"]["label_1"]
    table = [f"| {metrics['pictures']} validation pictures | value | 95 % interval |", "|---|--:|---|"]
    for name, title, spec in METRICS:
        low, high = metrics[f"{name}_interval"]
        table.append(f"| {title.format(label_1)} | {metrics[name]:{spec}} | {low:{spec}} to {high:{spec}} |")
    held_out = (
        "These pictures were held out from this training, but the epoch was chosen by them, which favours "
        "the model."
    )
    seen = report.get("validation_overlap") or {"count": 0}
    if seen["count"]:
        overlap += " So the table says little of new pictures."
    return [f"{held_out} {overlap}".rstrip(), table]


def _limits(report: dict[str, Any]) -> list[str]:
    size = report["recipe"]["preprocess"]["size"]
    return [
        "- The hackathon's pictures are CIFAKE's: one generator (Stable Diffusion 1.4), ten classes, 32x32",
        "  pixels. Nothing is known of the model's answers on other generators.",
        f"- A larger picture is reduced to {size}x{size} pixels first; its label then says next to nothing.",
        "- The answers are no proof. Do not accuse anybody on their word alone.",
    ]
