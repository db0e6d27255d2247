"""Labelled pictures: folder layouts, loading, splits, and reports."""
