"""gunicorn's worker, made proof against clients that are slow, silent or many."""
