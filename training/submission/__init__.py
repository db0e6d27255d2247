"""The hackathon's submission: predictions, and all that goes with them into one ZIP."""
