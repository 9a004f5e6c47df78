"""Write how much a model is to think, in the fields that it takes.

Wire: https://platform.claude.com/docs/en/build-with-claude/thinking
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.anthropic.abilities import Abilities
from providers.chat import Reasoning

LEAST_BUDGET = 1024
# Tokens to think with where the client gives a level and the model takes only a budget.
_BUDGETS = {
    "minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32000, "max": 48000,
}  # fmt: skip
_DEFAULT_BUDGET = 8192


def thinking_fields(
    reasoning: Reasoning, can: Abilities, max_tokens: int, *, thinks: bool = True
) -> dict[str, Any]:
    """Return ``thinking`` and ``output_config`` as the model takes them.

    Thinking counts toward ``max_tokens``, so a budget is smaller. ``thinks`` is false if the
    request cannot be combined with thinking; the model then thinks as little as it can.
    """
    if not thinks or reasoning.effort == "none":
        return _without_thinking(can)
    fields: dict[str, Any] = {}
    effort = can.effort(reasoning.level)
    if effort:
        fields["output_config"] = {"effort": effort}
    thinking: dict[str, Any] = {}
    if can.adaptive:
        thinking = {"type": "adaptive"}
    elif can.budgets and (budget := _budget(reasoning, max_tokens)):
        thinking = {"type": "enabled", "budget_tokens": budget}
    if thinking:
        if reasoning.shown:
            thinking["display"] = reasoning.shown
        fields["thinking"] = thinking
    return fields


def _without_thinking(can: Abilities) -> dict[str, Any]:
    if can.off:
        return {"thinking": {"type": can.off}}
    if can.off is None and (effort := can.effort("none")):
        return {"output_config": {"effort": effort}}
    return {}


def _budget(reasoning: Reasoning, max_tokens: int) -> int:
    """Return the tokens to think with; 0 if they do not fit."""
    wanted = reasoning.budget or _BUDGETS.get(reasoning.effort, _DEFAULT_BUDGET)
    # A quarter stays for the answer, unless the client itself left less.
    most = max_tokens - 1 if reasoning.budget else max_tokens * 3 // 4
    budget = min(max(wanted, LEAST_BUDGET), most)
    return budget if budget >= LEAST_BUDGET else 0


def is_thinking(body: Mapping[str, Any]) -> bool:
    """Return whether ``body`` asks for thinking."""
    thinking = body.get("thinking")
    return isinstance(thinking, Mapping) and thinking.get("type") in ("enabled", "adaptive")
