"""Names of the recipes, for the command line, which starts without PyTorch."""

RECIPE_NAMES = {
    "cifake": "the shipped model's: 92 epochs at 32 px from random weights, on all of CIFAKE",
    "cifake-teacher": "for a GPU: 120 epochs at 32 px, four times the computation a picture",
    "cifake-gpu": "for a GPU: that teacher, and 90 epochs of a network that also learns from it",
    "quick": "a first look at new data: 4 epochs at 32 px from random weights",
    "synergy": "Synergy'25's, as published: 5 epochs at 224 px, a head of two layers",
    "predictathon": "Predictathon 2025's, as published: 10 epochs at 224 px, stops early",
    "hackathon": "the shipped model fine-tuned: 5 epochs at 32 px",
}
"""The name of each recipe in `training.fitting.recipes`, and what it is, in one line."""
