"""HTTP. Imports `model`, never `training`."""
