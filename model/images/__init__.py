"""Decoding and preprocessing of images."""
