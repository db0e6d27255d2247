"""Inference engines: OpenVINO on CPUs, PyTorch on other devices."""
