"""From labelled pictures to a checkpoint."""
