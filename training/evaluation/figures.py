"""How plots look, and how they are drawn and written."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.files import atomic_write
from training.evaluation.palette import GREY, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Draw = Callable[["Axes"], None]
"""Draws one plot."""

SIZE = (6.0, 5.2)  # inches: half a slide
FONT = 18  # points, at that size: what can be read from the back of a room
DPI = 150


def render(draw: Draw) -> bytes:
    """A PNG of one plot, whose recorded size is SIZE inches."""
    # Imported here because it takes a second; Figure without pyplot, which needs a display and keeps state.
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    style: Any = {
        "font.size": FONT,
        "axes.titlesize": FONT,
        "axes.titlelocation": "left",
        "axes.titlepad": 12,
        "legend.fontsize": FONT,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "text.color": INK,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.3,
        "lines.linewidth": 2.5,
        "lines.markersize": 7,
    }
    file = io.BytesIO()
    with mpl.rc_context(style):
        figure = Figure(figsize=SIZE, dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        draw(figure.add_subplot())
        figure.savefig(file, format="png")
    return file.getvalue()


def save_figure(path: Path, draw: Draw) -> Path:
    """Write a PNG of one plot. Returns the path."""
    png = render(draw)
    with atomic_write(path) as file:
        file.write(png)
    return path


def legend_above(axes: "Axes", columns: int = 2) -> None:
    """A legend between the title and the axes, where it covers no data."""
    lines, labels = axes.get_legend_handles_labels()
    axes.legend(
        lines,
        labels,
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=columns,
        frameon=False,
        borderaxespad=0.2,
        columnspacing=1.2,
        handlelength=1.8,
    )
