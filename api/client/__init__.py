"""A client of the service, in one file to be copied."""
