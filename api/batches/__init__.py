"""What `POST /batch` and batch jobs share: an upload's files, their checks and results."""
