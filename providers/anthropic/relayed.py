"""Adapt a request that came in on this wire and goes out on it, where it must be.

A request that names its model goes out as it came, but for reasoning that its provider never
wrote. A model that this service chose gets no field that it does not take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from providers.anthropic.abilities import Abilities
from providers.anthropic.blocks import own_thinking
from providers.anthropic.reasoning import thinking_fields
from providers.chat import SEAL_MARK, Chat, Reasoning, Thinking

_NOTHING_LEFT = {"type": "text", "text": "."}


def restored_messages(chat: Chat, messages: list[Any], provider: str, model: str) -> list[Any]:
    """Return ``messages`` with the model's own reasoning in its own form.

    Reasoning that others wrote, and reasoning without a signature, is left out: the provider
    refuses both. Reasoning that came without a seal of ours stays as it is.
    """
    thoughts = [part for part in chat.parts() if isinstance(part, Thinking)]
    blocks = [b for m in messages for b in _content(m) if _is_thinking_block(b)]
    known = iter(thoughts if len(thoughts) == len(blocks) else [_of_block(b) for b in blocks])
    restored = []
    for message in messages:
        content = _content(message)
        if not any(map(_is_thinking_block, content)):
            restored.append(message)
            continue
        kept: list[Any] = []
        for block in content:
            if not _is_thinking_block(block):
                kept.append(block)
                continue
            thought = next(known)
            if (thought.provider, thought.model) == (provider, model):
                kept += own_thinking(thought)
            elif not thought.provider and (thought.signature or thought.redacted):
                kept.append(block)
        restored.append({**message, "content": kept or [_NOTHING_LEFT]})
    return restored


def fit_for_chosen(body: dict[str, Any], chat: Chat, can: Abilities) -> None:
    """Leave out of ``body`` what the chosen model does not take, and map its thinking."""
    if not can.sampling:
        for name in ("temperature", "top_p", "top_k"):
            if body.get(name) not in (None, 1):
                body.pop(name)
    elif isinstance(body.get("temperature"), (int, float)):
        body["temperature"] = min(body["temperature"], 1)
    if not can.forced_tools:
        soften_tool_choice(body)
    if chat.reasoning is not None:
        _fit_thinking(body, chat.reasoning, can)


def _fit_thinking(body: dict[str, Any], reasoning: Reasoning, can: Abilities) -> None:
    given, config = body.get("output_config"), {}
    if isinstance(given, Mapping):
        config = dict(given)
        effort = config.pop("effort", None)
        if isinstance(effort, str) and (nearest := can.effort(effort)):
            config["effort"] = nearest
    if not _takes_thinking(body, can):
        del body["thinking"]
        fields = thinking_fields(
            replace(reasoning, effort=reasoning.effort or config.get("effort", "")),
            can,
            _max_tokens(body),
        )
        config = {**fields.pop("output_config", {}), **config}
        body.update(fields)
    if config:
        body["output_config"] = config
    else:
        body.pop("output_config", None)


def soften_tool_choice(body: dict[str, Any]) -> None:
    """Let the model choose whether to call a tool, where it refuses to be forced."""
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping) and choice.get("type") in ("any", "tool"):
        kept = {k: v for k, v in choice.items() if k == "disable_parallel_tool_use"}
        body["tool_choice"] = {"type": "auto", **kept}


def drop_impossible_thinking(body: dict[str, Any], can: Abilities) -> None:
    """Turn thinking off where the conversation lacks the reasoning that must precede its calls.

    With a budget, a turn that called tools must begin with its reasoning.
    """
    thinking = body.get("thinking")
    if not isinstance(thinking, Mapping) or thinking.get("type") != "enabled":
        return
    if lacks_thinking(body["messages"]):
        body.pop("thinking")
        body.update(thinking_fields(Reasoning("none"), can, _max_tokens(body)))


def lacks_thinking(messages: list[Any]) -> bool:
    """Return whether the last turn of the assistant called a tool and shows no reasoning."""
    turns = [m for m in messages if isinstance(m, Mapping) and m.get("role") == "assistant"]
    blocks = _content(turns[-1]) if turns else []
    called = any(isinstance(b, Mapping) and b.get("type") == "tool_use" for b in blocks)
    return called and not _is_thinking_block(blocks[0])


def _takes_thinking(body: Mapping[str, Any], can: Abilities) -> bool:
    thinking = body.get("thinking")
    if not isinstance(thinking, Mapping):
        return True
    kind = thinking.get("type")
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        return can.budgets and isinstance(budget, int) and budget < _max_tokens(body)
    if kind == "adaptive":
        return can.adaptive
    return kind not in ("disabled", "between_tools") or kind == (
        "disabled" if can.off == "" else can.off
    )


def _max_tokens(body: Mapping[str, Any]) -> int:
    most = body.get("max_tokens")
    return most if isinstance(most, int) else 0


def _content(message: Any) -> list[Any]:
    content = message.get("content") if isinstance(message, Mapping) else None
    return content if isinstance(content, list) else []


def _is_thinking_block(block: Any) -> bool:
    return isinstance(block, Mapping) and block.get("type") in ("thinking", "redacted_thinking")


def _of_block(block: Mapping[str, Any]) -> Thinking:
    """Read a block whose seal was not opened: a sealed one is as good as unsigned."""
    signature = block.get("signature") or block.get("data") or ""
    sealed = not isinstance(signature, str) or signature.startswith(SEAL_MARK)
    return Thinking(signature="" if sealed else signature)
