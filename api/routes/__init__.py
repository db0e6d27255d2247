"""One blueprint for each concern."""
