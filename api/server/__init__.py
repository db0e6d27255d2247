"""A gunicorn worker that buffers requests, sheds load and tolerates slow or idle clients."""
