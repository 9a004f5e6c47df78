"""Charts: self-contained SVG, and a decision's candidates as points for a chart script.

Only drawing loads matplotlib.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from routing.models import TIERS, ModelRef

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def svg(draw: Callable[[Axes], None], size: tuple[float, float], label: str) -> str:
    """Return a chart as an ``<svg>`` element; ``label`` is for screen readers.

    ``size`` is in inches.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

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


def candidate_plot(
    candidates: Sequence[dict[str, Any]], baseline: ModelRef | None = None
) -> dict[str, Any]:
    """Return ``points`` of ``cost`` (USD, exact, as text) and ``worth``, for a chart script.

    ``candidates`` come from a decision's metadata; ``baseline`` is the (provider, model)
    that complexity would have chosen. ``worth`` is the expected quality (0-1) with ``low`` and
    ``high``; if no candidate has one, it is the index of the model's tier in ``tiers``.
    Candidates without a price, or without a quality while others have one, are left out.
    """
    priced = [candidate for candidate in candidates
              if candidate.get("expected_cost") not in (None, "")]  # fmt: skip
    judged = any(candidate.get("expected_quality") is not None for candidate in priced)
    points = [_point(candidate, judged, baseline) for candidate in priced]
    return {
        "points": [point for point in points if point["worth"] is not None],
        "tiers": None if judged else list(TIERS),
    }


def _point(candidate: dict[str, Any], judged: bool, baseline: ModelRef | None) -> dict[str, Any]:
    model = (candidate["provider"], candidate["model"])
    role = "baseline" if model == baseline else "other"
    return {
        "name": candidate["model"].rpartition("/")[2],
        "cost": str(candidate["expected_cost"]),
        "worth": candidate.get("expected_quality") if judged else TIERS.index(candidate["tier"]),
        "low": candidate.get("quality_low") if judged else None,
        "high": candidate.get("quality_high") if judged else None,
        "tier": candidate["tier"],
        "role": "chosen" if candidate["chosen"] else role,
    }
