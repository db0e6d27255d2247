"""How good a checkpoint is, and what else can be asked of it and of data."""
