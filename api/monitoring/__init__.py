"""Metrics (Prometheus), the log, and traces (OpenTelemetry) of the service."""
