"""Write how much a Gemini model is to reason, by what its generation takes.

Up to 2.5, models take a budget in tokens; since 3, they take a level.
https://ai.google.dev/gemini-api/docs/thinking
"""

from __future__ import annotations

import re
from typing import Any

from providers.chat import Chat, Reasoning
from providers.effort_levels import NO_EFFORTS, Efforts

_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
# What Google's own translation of OpenAI's efforts takes.
# https://ai.google.dev/gemini-api/docs/openai#thinking
_BUDGETS = {
    "none": 0, "minimal": 1024, "low": 1024, "medium": 8192,
    "high": 24576, "xhigh": 32768, "max": 32768,
}  # fmt: skip
_LEVELS = {
    "none": "minimal", "minimal": "minimal", "low": "low", "medium": "medium",
    "high": "high", "xhigh": "high", "max": "high",
}  # fmt: skip


def thinking_config(chat: Chat, model: str) -> dict[str, Any]:
    """Return ``thinkingConfig`` for ``model``; empty if the chat leaves it to the model."""
    reasoning, version = chat.reasoning, _version(model)
    if reasoning is None or version < (2, 5):
        return {}
    config: dict[str, Any] = {}
    if version >= (3, 0):
        if level := _level(reasoning, model, version):
            config["thinkingLevel"] = level
    elif (budget := _budget(reasoning, model)) is not None:
        config["thinkingBudget"] = budget
    if _is_shown(chat, reasoning):
        config["includeThoughts"] = True
    return config


def efforts_of_model(model: str) -> Efforts:
    """Return the efforts that ``model`` takes, and the usual one as the documentation says.

    Lite models think little by default, or not at all:
    https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/guides/gemini-3-5-flash
    """
    version = _version(model)
    if version < (2, 5):
        return NO_EFFORTS
    levels: tuple[str, ...] = ("low", "medium", "high")
    if version == (3, 0) and "pro" in model:
        levels = ("low", "high")
    if version >= (3, 0) and _level(Reasoning("minimal"), model, version) == "minimal":
        levels = ("minimal", *levels)
    if "lite" in model:
        return Efforts(levels)
    return Efforts(levels, "high" if "pro" in model else "medium")


def _version(model: str) -> tuple[int, int]:
    """Return the generation that a model's name tells; names without one mean the latest."""
    if match := _VERSION.search(model):
        return int(match[1]), int(match[2] or 0)
    return (3, 9) if "gemini" in model else (0, 0)


def _is_shown(chat: Chat, reasoning: Reasoning) -> bool:
    """Return whether the client wants to see the reasoning.

    Clients of Anthropic's API, the only ones to turn it on without an effort, see it by default.
    """
    if reasoning.shown or reasoning.effort == "none":
        return reasoning.shown == "summarized"
    return reasoning.adaptive or reasoning.budget is not None


def _level(reasoning: Reasoning, model: str, version: tuple[int, int]) -> str:
    level = _LEVELS.get(reasoning.effort, "")
    if not level and reasoning.budget is not None:
        budget = reasoning.budget
        level = "minimal" if budget < 512 else "low" if budget <= 4096 else "medium"
        level = "high" if budget > 16384 else level
    # https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thinking
    if level == "minimal" and ("flash" not in model or version > (3, 6)):
        level = "low"
    if level == "medium" and "pro" in model and version == (3, 0):
        level = "high"
    return level


def _budget(reasoning: Reasoning, model: str) -> int | None:
    budget = _BUDGETS.get(reasoning.effort)
    if reasoning.budget is not None:
        budget = reasoning.budget
    elif budget is None:
        # The model decides.
        return -1 if reasoning.adaptive else None
    # https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thinking#thinking-budget
    if "pro" in model:
        return min(max(budget, 128), 32768)
    least = 512 if "lite" in model and budget else 0
    return min(max(budget, least), 24576)
