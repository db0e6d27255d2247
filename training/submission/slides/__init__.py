"""The presentation of a run: its pictures, metrics, plots and limits on slides of 16:9."""
