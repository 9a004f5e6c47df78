"""Requests that ask a model to reason less than they did.

A request is changed on the wire on which it came in, which may be relayed, and in the neutral
form, from which all others are written. Reasoning is lowered, never switched off or on: a turn
that goes on with sealed reasoning must ask for some
(https://platform.claude.com/docs/en/build-with-claude/thinking-tool-workflows).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from providers.anthropic.reasoning import LEAST_BUDGET
from providers.chat import Chat, Reasoning
from providers.gemini.thinking import thinking_config
from providers.values import changed

# The most tokens that amount to an effort, as in ``Reasoning.level``.
_MOST_TOKENS = {
    "minimal": 1024, "low": 2048, "medium": 10_000, "high": 24_000, "xhigh": 40_000,
}  # fmt: skip


def with_less_effort(chat: Chat, effort: str, model: str) -> Chat | None:
    """Return ``chat`` at ``effort``, which ``model`` takes; ``None`` where it cannot be written.

    Call it only with an effort below what the chat asks for, or below the model's usual one.
    """
    reasoning, source = _lowered(chat.reasoning, effort), chat.source
    if source is None:
        return changed(chat, reasoning=reasoning)
    writer = _WRITERS.get(source.wire)
    fields = writer(source.body, reasoning, effort, model) if writer is not None else None
    if fields is None:
        return None
    body = {**source.body, **fields}
    return changed(chat, reasoning=reasoning, source=changed(source, body=body))


def _lowered(asked: Reasoning | None, effort: str) -> Reasoning:
    if asked is None:
        return Reasoning(effort)
    if asked.budget is None:
        return replace(asked, effort=effort)
    budget = min(asked.budget, _MOST_TOKENS.get(effort, asked.budget))
    return replace(asked, budget=budget, effort=effort if asked.effort else "")


def _openai(body: Mapping[str, Any], _: Reasoning, effort: str, __: str) -> dict[str, Any] | None:
    # https://openrouter.ai/docs/use-cases/reasoning-tokens: a router's own form wins.
    given = body.get("reasoning")
    if isinstance(given, Mapping):
        rest = {name: value for name, value in given.items() if name != "max_tokens"}
        return {"reasoning": {**rest, "effort": effort}}
    return {"reasoning_effort": effort}


def _responses(
    body: Mapping[str, Any], _: Reasoning, effort: str, __: str
) -> dict[str, Any] | None:
    given = body.get("reasoning")
    rest = given if isinstance(given, Mapping) else {}
    return {"reasoning": {**rest, "effort": effort}}


def _anthropic(
    body: Mapping[str, Any], _: Reasoning, effort: str, __: str
) -> dict[str, Any] | None:
    thinking = body.get("thinking")
    if isinstance(thinking, Mapping) and thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int) or budget <= LEAST_BUDGET:
            return None
        fewer = min(budget, _MOST_TOKENS.get(effort, budget))
        return {"thinking": {**thinking, "budget_tokens": max(fewer, LEAST_BUDGET)}}
    given = body.get("output_config")
    config = given if isinstance(given, Mapping) else {}
    return {"output_config": {**config, "effort": effort}}


def _gemini(
    body: Mapping[str, Any], reasoning: Reasoning, effort: str, model: str
) -> dict[str, Any] | None:
    written = thinking_config(Chat((), reasoning=reasoning), model)
    written.pop("includeThoughts", None)
    if not written:
        return None
    name = "generation_config" if "generation_config" in body else "generationConfig"
    config = body.get(name)
    config = dict(config) if isinstance(config, Mapping) else {}
    asked = [config.pop(field, None) for field in ("thinkingConfig", "thinking_config")]
    given = next((value for value in asked if isinstance(value, Mapping)), {})
    for field in ("includeThoughts", "include_thoughts"):
        if field in given:
            written[field] = given[field]
    return {name: {**config, "thinkingConfig": written}}


_WRITERS = {
    "openai": _openai,
    "openai-responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
}
