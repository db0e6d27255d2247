"""The detector: image decoding, checkpoints and inference. No HTTP, no training."""

import sys
from pathlib import Path

# Disables the telemetry of OpenVINO and NNCF. It forks the process: in a server the child would hold the
# listening socket open, and can deadlock on a lock held by another thread.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

ROOT = Path(__file__).parents[1]
"""The root of the repository, in which `python -m` finds the packages."""

SHIPPED = Path(__file__).with_name("cifake_model.pth")
"""The checkpoint that is shipped with the project."""
