"""The REST service. It imports `model`, never `training`."""
