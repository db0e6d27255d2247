"""The Open Inference Protocol, version 2 (KServe, Triton): tensors as JSON or binary data."""
