"""Predictions for the hackathon, and what is handed in with them."""
