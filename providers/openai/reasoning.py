"""Write how much a model is to reason, and what it reasoned before, for OpenAI's API.

Which efforts a model takes: https://platform.openai.com/docs/guides/reasoning,
https://console.groq.com/docs/reasoning and https://api-docs.deepseek.com/guides/thinking_mode.
OpenRouter: https://openrouter.ai/docs/use-cases/reasoning-tokens
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from providers.chat import Reasoning, Thinking
from providers.effort_levels import LEVELS, NO_EFFORTS, Efforts
from providers.openai.dialect import Dialect

_USUAL = ("low", "medium", "high")
# The efforts that models take, by the beginning of their names.
_EFFORTS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    # https://docs.x.ai/developers/model-capabilities/text/reasoning
    (re.compile(r"grok-4\.3"), ("none", *_USUAL)),
    (re.compile(r"grok-4\.5"), _USUAL),
    (re.compile(r"gpt-[34]|gpt-5[.\d]*-chat|chatgpt|gpt-audio|gpt-realtime|grok-4|qwen"), ()),
    (re.compile(r"o\d|gpt-oss"), _USUAL),
    (re.compile(r"gpt-5-pro"), ("high",)),
    (re.compile(r"gpt-5-codex|gpt-5\.1-codex(-mini|$)"), _USUAL),
    (re.compile(r"gpt-5[.\d]*-(codex|pro)"), (*_USUAL, "xhigh")),
    (re.compile(r"gpt-5(-|$)"), ("minimal", *_USUAL)),
    (re.compile(r"gpt-5\.1(-|$)"), ("none", *_USUAL)),
    (re.compile(r"gpt-"), ("none", *_USUAL, "xhigh")),
)
# https://learn.microsoft.com/en-us/javascript/api/@azure/ai-projects/reasoningeffort: "medium" for
# all before GPT-5.1, whose default is "none"; https://docs.litellm.ai/blog/gpt_6_sol_luna and
# https://developers.openai.com/api/docs/guides/deployment-checklist for GPT-6.
_MEDIUM_BY_DEFAULT = re.compile(r"o\d|gpt-oss|gpt-5(-mini|-nano|-20|$)|gpt-6")
# Tokens to reason with, up to which a level is meant.
_BUDGETS = ((0, "none"), (2_048, "low"), (8_192, "medium"))


def effort_of(reasoning: Reasoning) -> str:
    """Return the level that ``reasoning`` asks for; empty if that is left to the model."""
    if reasoning.effort:
        return reasoning.effort
    if reasoning.budget is None:
        return ""
    return next((level for most, level in _BUDGETS if reasoning.budget <= most), "high")


def fitting_effort(effort: str, known: tuple[str, ...]) -> str:
    """Return the level of ``known`` nearest to ``effort``, the lower of two; empty if none."""
    if not known or effort in known or effort not in LEVELS:
        return effort if effort in known else ""
    wanted = LEVELS.index(effort)
    # No model stops reasoning unless it is told to.
    levels = [level for level in known if level != "none"]
    return min(levels, key=lambda level: (abs(LEVELS.index(level) - wanted), LEVELS.index(level)))


def reasoning_fields(reasoning: Reasoning, model: str, dialect: Dialect) -> dict[str, Any]:
    """Return the fields of a request that say how much ``model`` is to reason."""
    if dialect.router:
        return _routed(reasoning)
    effort, name = effort_of(reasoning), model.rpartition("/")[2]
    if not effort:
        return {}
    if effort == "none" and dialect.no_reasoning:
        return dict(dialect.no_reasoning)
    if dialect.efforts is not None:
        return _effort_field(effort, dialect.efforts)
    if name.startswith("deepseek"):
        if effort == "none":
            return {"thinking": {"type": "disabled"}}
        return {"reasoning_effort": effort}
    return _effort_field(effort, _efforts_by_name(name))


def _efforts_by_name(name: str) -> tuple[str, ...]:
    return next((efforts for pattern, efforts in _EFFORTS if pattern.match(name)), _USUAL)


def efforts_of_model(model: str, dialect: Dialect) -> Efforts:
    """Return the efforts that ``model`` is known to take; those of unknown names are not."""
    name = model.rpartition("/")[2]
    if dialect.router:
        # A router maps them to what its models take, and leaves out what they do not.
        return Efforts(_USUAL, _usual_effort(name))
    if dialect.efforts is not None:
        return Efforts(dialect.efforts)
    known = next((efforts for pattern, efforts in _EFFORTS if pattern.match(name)), ())
    return Efforts(known, _usual_effort(name)) if known else NO_EFFORTS


def _usual_effort(name: str) -> str:
    """Return the effort of a model of OpenAI's that is asked for none, empty if not known."""
    return "medium" if _MEDIUM_BY_DEFAULT.match(name) else ""


def _effort_field(effort: str, known: tuple[str, ...]) -> dict[str, Any]:
    if effort == "none" and "none" not in known:
        # The least that there is, if the model says so, else the model's default.
        effort = "minimal" if "minimal" in known else ""
    fitting = fitting_effort(effort, known) if effort else ""
    return {"reasoning_effort": fitting} if fitting else {}


def _routed(reasoning: Reasoning) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if reasoning.effort:
        value["effort"] = reasoning.effort
    elif reasoning.budget is not None:
        value = {"max_tokens": reasoning.budget} if reasoning.budget else {"effort": "none"}
    elif reasoning.adaptive:
        value["enabled"] = True
    if reasoning.shown == "omitted":
        value["exclude"] = True
    return {"reasoning": value} if value else {}


def past_reasoning(
    thoughts: Iterable[Thinking], author: tuple[str, str], dialect: Dialect, *, anybody: bool
) -> dict[str, Any]:
    """Return the fields of an assistant's message that hold its own earlier reasoning.

    ``author`` is the (provider, model) that gets the message; reasoning of others is left out.
    ``anybody`` allows reasoning of an unknown author as well.
    """
    own = [
        thought
        for thought in thoughts
        if (thought.provider, thought.model) == author or (anybody and not thought.provider)
    ]
    details = [entry for t in own if isinstance(t.details, list) for entry in t.details]
    if details and dialect.has_details:
        return {"reasoning_details": merged_details(details)}
    text = "\n\n".join(thought.text for thought in own if thought.text)
    if not text:
        return {}
    return {"reasoning" if dialect.router else "reasoning_content": text}


def needs_reasoning(model: str, dialect: Dialect) -> bool:
    """Return whether ``model`` refuses calls in its history that have no field for reasoning.

    DeepSeek and Kimi do so (https://www.librechat.ai/docs/configuration/librechat_yaml/ai_endpoints/moonshot);
    calls of other models get an empty one.
    """
    return not dialect.router and model.rpartition("/")[2].startswith(("deepseek", "kimi"))


def merged_details(details: Iterable[Any]) -> list[Any]:
    """Return ``reasoning_details`` in which the pieces of a stream are joined."""
    merged: list[Any] = []
    for entry in details:
        last = merged[-1] if merged else None
        if isinstance(entry, Mapping) and isinstance(last, dict) and _continues(last, entry):
            for name, value in entry.items():
                if name in {"text", "summary", "data"} and isinstance(value, str):
                    last[name] = (last.get(name) or "") + value
                elif value is not None:
                    last[name] = value
        else:
            merged.append(dict(entry) if isinstance(entry, Mapping) else entry)
    return merged


def _continues(last: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Return whether a piece belongs to the last one: same kind, same number, nothing closed."""
    if any(last.get(name) != entry.get(name) for name in ("type", "index")):
        return False
    if entry.get("index") is None or entry.get("type") == "reasoning.encrypted":
        return False
    return not last.get("signature") and last.get("id") in (None, entry.get("id"))
