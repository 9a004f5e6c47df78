"""The efforts of reasoning: their order, and those that a model takes."""

from __future__ import annotations

from typing import NamedTuple

LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""The efforts of all wires, from the least to the most."""


class Efforts(NamedTuple):
    """The efforts that a model takes, the least first, and the one it has if nothing is asked.

    ``usual`` is empty if the model does not reason by itself, or if that is not known.
    """

    levels: tuple[str, ...] = ()
    usual: str = ""


NO_EFFORTS = Efforts()


def is_below(effort: str, other: str) -> bool:
    """Return whether ``effort`` is less than ``other``; an unknown one is not."""
    if effort not in LEVELS or other not in LEVELS:
        return False
    return LEVELS.index(effort) < LEVELS.index(other)
