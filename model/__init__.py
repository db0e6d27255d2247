"""What a picture is to the network, and what the network says of it. No HTTP, no training."""

import sys
from pathlib import Path

# OpenVINO and NNCF tell their makers of their use, from a process that they fork: in a server that would keep
# the listening socket, and may wait for ever for a lock of another thread. Without the package they tell
# nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

ROOT = Path(__file__).parents[1]
"""Where the packages lie: what runs as `python -m` starts here."""

SHIPPED = Path(__file__).with_name("cifake_model.pth")
"""The checkpoint that comes with the project."""
