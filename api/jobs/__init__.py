"""Batch jobs: kept on the disk until they are done, whichever worker dies meanwhile."""
