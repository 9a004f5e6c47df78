"""What a prompt asks of a model: mathematics, code, knowledge, language, instructions, tools.

A prompt has loadings, shares of these domains. They come from the kinds of prompts that it is like
where a predictor knows its ground, and from the kind of work that it looks like elsewhere. A model
that is known to be better in one domain than in others is expected to be so on its prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

DOMAINS = ("maths", "code", "knowledge", "language", "instruction", "tools")
Loadings = tuple[float, ...]
"""Shares of the domains, in their order, 1 in all."""

_TOOLS_SHARE = 0.5
"""Of a request that offers tools: half of it is to use them well."""
# Written by hand: no benchmark was recorded for most of these kinds of work.
_OF_WORK: Mapping[str, Loadings] = {
    "code": (0.0, 0.8, 0.1, 0.1, 0.0, 0.0),
    "reasoning": (0.7, 0.0, 0.1, 0.1, 0.1, 0.0),
    "analysis": (0.1, 0.1, 0.5, 0.2, 0.1, 0.0),
    "explanation": (0.05, 0.05, 0.7, 0.2, 0.0, 0.0),
    "factual": (0.0, 0.0, 0.9, 0.1, 0.0, 0.0),
    "creative": (0.0, 0.0, 0.0, 0.6, 0.4, 0.0),
}
_OF_ANY_WORK: Loadings = (0.1, 0.1, 0.5, 0.2, 0.1, 0.0)


def loadings_of(pattern: str, known: Sequence[float], nearness: float) -> Loadings:
    """Return a prompt's loadings.

    ``known`` are those of the kinds of prompts that it is like, which count by ``nearness`` (0-1).
    """
    by_work = _OF_WORK.get(pattern, _OF_ANY_WORK)
    return tuple(
        nearness * near + (1 - nearness) * work for near, work in zip(known, by_work, strict=True)
    )


def with_tools(loadings: Loadings) -> Loadings:
    """Return the loadings of a request that also offers tools."""
    *others, tools = ((1 - _TOOLS_SHARE) * share for share in loadings)
    return (*others, tools + _TOOLS_SHARE)
