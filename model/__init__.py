"""What a picture is to the network, and what the network says of it. No HTTP, no training."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""Where the packages lie: what runs as `python -m` starts here."""

SHIPPED = Path(__file__).with_name("cifake_model.pth")
"""The checkpoint that comes with the project."""
