"""Read how much the model is to reason, in the words of several APIs.

OpenAI: https://platform.openai.com/docs/guides/reasoning; OpenRouter:
https://openrouter.ai/docs/use-cases/reasoning-tokens; the field ``thinking`` is Anthropic's,
which LiteLLM and others take on this wire too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optimizer.api.http.body_reader import BodyReader, is_number
from providers.chat import Reasoning

_OFF = ("disabled", "none")


def read_reasoning(fields: BodyReader) -> Reasoning | None:
    """Return what the request says about reasoning; ``None`` if it says nothing."""
    effort = fields.raw("reasoning_effort")
    given = Reasoning(effort=effort) if isinstance(effort, str) and effort else None
    routed, thinking = fields.raw("reasoning"), fields.raw("thinking")
    if isinstance(routed, Mapping):
        given = _routed(routed, given) or given
    if isinstance(thinking, Mapping):
        given = _thinking(thinking, given) or given
    return given


def _routed(routed: Mapping[str, Any], given: Reasoning | None) -> Reasoning | None:
    shown = "omitted" if routed.get("exclude") is True else ""
    effort = routed.get("effort")
    if routed.get("enabled") is False:
        return Reasoning(effort="none", shown=shown)
    if isinstance(effort, str) and effort:
        return Reasoning(effort=effort, shown=shown)
    if (budget := _tokens(routed.get("max_tokens"))) is not None:
        return Reasoning(budget=budget, shown=shown)
    if given is not None:
        return Reasoning(effort=given.effort, shown=shown)
    if routed.get("enabled") is True or shown:
        return Reasoning(adaptive=routed.get("enabled") is True, shown=shown)
    return None


def _thinking(thinking: Mapping[str, Any], given: Reasoning | None) -> Reasoning | None:
    kind = thinking.get("type")
    if kind in _OFF:
        return Reasoning(effort="none")
    effort = given.effort if given is not None else ""
    if (budget := _tokens(thinking.get("budget_tokens"))) is not None:
        return Reasoning(effort=effort, budget=budget)
    if kind in ("adaptive", "enabled"):
        return Reasoning(effort=effort, adaptive=True)
    return None


def _tokens(value: Any) -> int | None:
    return int(value) if is_number(value) and value >= 0 else None
