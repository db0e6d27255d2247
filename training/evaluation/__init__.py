"""Evaluation of checkpoints, and of the labels of data sets."""
