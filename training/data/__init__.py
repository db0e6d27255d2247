"""Labelled pictures, and the folders that they come from."""
