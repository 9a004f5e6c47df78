"""The words of shadow evaluation, for the terminal and the admin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analytics.money import dollars
from analytics.quality.shadow import MOVES, NOT_CHEAPER, NOT_SHOWN, TOO_FEW, WORSE

VERDICT_NAMES = {
    MOVES: "can be moved",
    TOO_FEW: "too few pairs",
    WORSE: "worse: stays",
    NOT_SHOWN: "not shown to be good enough",
    NOT_CHEAPER: "not cheaper",
}
KIND_HEADINGS = (
    "model", "pattern", "tier", "pairs", "won", "won, 95 %", "cost", "routed", "saved", "verdict",
)  # fmt: skip
PART_HEADINGS = ("", "pairs", "won", "won, 95 %", "cost", "routed", "saved")
PARTS = {
    "requested_model": "Named model", "pattern": "Pattern", "tier": "Tier", "turn": "Kind of turn",
    "agent": "Agent", "later_turn": "Later turn of a conversation",
}  # fmt: skip


def kind_row(kind: Mapping[str, Any]) -> list[str]:
    """Return a kind of requests as the cells of :data:`KIND_HEADINGS`."""
    names = [kind["requested_model"], kind["pattern"], kind["tier"]]
    return [*names, *_figures(kind), VERDICT_NAMES[kind["verdict"]]]


def part_row(name: str, part: Mapping[str, Any]) -> list[str]:
    """Return a part of the pairs as the cells of :data:`PART_HEADINGS`; ``name`` is its kind."""
    return [part_name(name, part), *_figures(part)]


NARROW_HEADINGS = ("", "pairs", "won (95 %)", "saved")
"""What fits into eighty characters of a terminal; the page and the JSON have more."""


def narrow_row(name: str, row: Mapping[str, Any]) -> list[str]:
    """Return a kind or a part as the cells of :data:`NARROW_HEADINGS`."""
    pairs, won, between, _, _, saved = _figures(row)
    return [name, pairs, f"{won} ({between})", saved]


def kind_name(kind: Mapping[str, Any]) -> str:
    """Return the name of a kind of requests."""
    return f"{kind['requested_model']}, {kind['pattern']}, {kind['tier']}"


def part_name(name: str, part: Mapping[str, Any]) -> str:
    """Return the value that a part of the pairs has in common."""
    value = part[name]
    return ("yes" if value else "no") if isinstance(value, bool) else str(value) or "–"


def funnel_lines(report: Mapping[str, Any]) -> list[str]:
    """Return how many requests came how far, and why the others did not."""
    counts = dict(report["funnel"])
    stages = [f"{counts.pop(name)} {words}" for name, words in _STAGES.items()]
    reasons = [f"{count} {reason}" for reason, count in counts.items()]
    lines = [", ".join(stages) + "."]
    if reasons:
        lines.append("Left out: " + ", ".join(reasons) + ".")
    return lines


_STAGES = {
    "named": "requests named a model", "eligible": "could be answered twice",
    "sampled": "were drawn", "judged": "were compared",
}  # fmt: skip


def summary_line(report: Mapping[str, Any]) -> str:
    """Return what all pairs together show, in one sentence."""
    overall, cost = report["overall"], report["cost"]
    spent = f"Second answers cost {dollars(cost['answers'])}, judging {dollars(cost['judging'])}."
    if not overall["pairs"]:
        return f"No pair of answers was compared in this period. {spent}"
    return (
        f"{overall['pairs']} pairs: routed answers won {_share(overall['score']['mean'])} of the "
        f"verdicts ({_between(overall['score'])}; half is even), and would have saved "
        f"{_saved(overall)} of the cost. {spent}"
    )


def moved_line(kind: Mapping[str, Any]) -> str:
    """Return a kind that can be moved or was moved, with its evidence, in one line."""
    loss = -kind["gain"]["low"]
    bound = f"at most {loss:.3f} below even" if loss > 0 else f"at least {-loss:.3f} above even"
    return f"{kind_name(kind)}: {kind['pairs']} pairs, {bound}, {kind['saved_percent']:g} % saved"


def _figures(row: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['pairs']} ({row['same_model']} same)" if row["same_model"] else str(row["pairs"]),
        _share(row["score"]["mean"]),
        _between(row["score"]),
        dollars(row["served_cost"]),
        dollars(row["shadow_cost"]),
        _saved(row),
    ]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _between(mean: Mapping[str, Any]) -> str:
    if mean["low"] is None:
        return "too few"
    return f"{100 * mean['low']:.1f} to {100 * mean['high']:.1f} %"


def _saved(row: Mapping[str, Any]) -> str:
    return "–" if row["saved_percent"] is None else f"{row['saved_percent']:g} %"
