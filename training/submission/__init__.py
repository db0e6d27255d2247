"""The hackathon's submission: predictions, README and presentation."""
