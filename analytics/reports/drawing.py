"""Self-contained SVG charts. Importing this module loads matplotlib."""

from __future__ import annotations

import io
from collections.abc import Callable

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes


def svg(draw: Callable[[Axes], None], size: tuple[float, float], label: str) -> str:
    """Return a chart as an ``<svg>`` element; ``label`` is for screen readers.

    ``size`` is in inches.
    """
    # The same figures give the same file, and text can be searched and copied.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "report", "font.size": 9}):
        figure, ax = plt.subplots(figsize=size, layout="constrained")
        draw(ax)
        ax.spines[["top", "right"]].set_visible(False)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
        plt.close(figure)
    text = out.getvalue()
    element = text[text.index("<svg") :]
    return element.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
