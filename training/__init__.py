"""From folders of pictures to a checkpoint and a report. Imports `model`, never `api`."""
