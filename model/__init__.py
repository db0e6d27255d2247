"""What a picture is to the network, and what the network says of it. No HTTP, no training."""

from pathlib import Path

SHIPPED = Path(__file__).with_name("cifake_model.pth")
"""The checkpoint that comes with the project."""
