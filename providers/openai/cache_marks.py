"""Marks for the prompt caches of Anthropic's models behind OpenRouter, where the client sets none.

https://openrouter.ai/docs/features/prompt-caching: parts of messages may have Anthropic's
``cache_control``, which OpenRouter passes on; its other models cache without marks. Anthropic's
own rules hold (:mod:`providers.anthropic.cache_marks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.anthropic.cache_marks import LAST_TURNS, MARK, least_cached_tokens
from providers.token_estimates import estimate_tokens

_AUTHOR = "anthropic/"
_TURNS = frozenset({"user", "tool"})


def add_part_marks(body: dict[str, Any], model: str, mark: Mapping[str, str] = MARK) -> None:
    """Mark the system prompt and the last turns of ``body``, unless something is marked.

    Only for a model of Anthropic's. What is marked is replaced in ``body``: the client's own
    objects stay as they are.
    """
    messages = body.get("messages")
    if not model.startswith(_AUTHOR) or not isinstance(messages, list):
        return
    if _has_marks(body, messages) or _is_short(body, messages, least_cached_tokens(model)):
        return
    marked, left = list(messages), LAST_TURNS
    for place in range(len(marked) - 1, -1, -1):
        if left and _role(marked[place]) in _TURNS:
            marked[place] = _marked(marked[place], mark)
            left -= 1
    systems = [place for place, message in enumerate(marked) if _role(message) == "system"]
    if systems and (last := systems[-1]) < _first_turn(marked):
        marked[last] = _marked(marked[last], mark)
    body["messages"] = marked


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, Mapping) else None


def _first_turn(messages: list[Any]) -> int:
    return next((n for n, m in enumerate(messages) if _role(m) != "system"), len(messages))


def _marked(message: Mapping[str, Any], mark: Mapping[str, str]) -> Mapping[str, Any]:
    """Return ``message`` with a mark at its last text; itself if it has none."""
    content = message.get("content")
    if isinstance(content, str) and content:
        part = {"type": "text", "text": content, "cache_control": dict(mark)}
        return {**message, "content": [part]}
    if not isinstance(content, list):
        return message
    for place in range(len(content) - 1, -1, -1):
        part = content[place]
        if isinstance(part, Mapping) and part.get("type") == "text" and part.get("text"):
            marked = {**part, "cache_control": dict(mark)}
            return {**message, "content": [*content[:place], marked, *content[place + 1 :]]}
    return message


def _has_marks(body: Mapping[str, Any], messages: list[Any]) -> bool:
    if body.get("cache_control") is not None:
        return True
    tools = body.get("tools")
    blocks = list(tools) if isinstance(tools, list) else []
    for message in messages:
        if isinstance(message, Mapping) and isinstance(message.get("content"), list):
            blocks += message["content"]
    return any(isinstance(b, Mapping) and b.get("cache_control") is not None for b in blocks)


def _is_short(body: Mapping[str, Any], messages: list[Any], least: int) -> bool:
    """Return whether fewer tokens than ``least`` are estimated; it stops counting there."""
    total = 0
    for part in (*(body.get("tools") or ()), *messages):
        total += estimate_tokens(str(part))
        if total >= least:
            return False
    return True
