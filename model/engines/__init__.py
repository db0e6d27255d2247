"""What runs the network: OpenVINO on a CPU, PyTorch elsewhere."""
