"""Marks for Anthropic's prompt cache, where the client sets none.

https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching: a request may have four
marks, each caches all that comes before it (tools, system, messages), what is shorter than a
model's minimum is not cached, and the cache is found by looking back from a mark over at most
twenty blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.token_estimates import estimate_tokens

MARK: Mapping[str, str] = {"type": "ephemeral"}
HOUR_MARK: Mapping[str, str] = {"type": "ephemeral", "ttl": "1h"}
LAST_TURNS = 2
"""Turns of the user that are marked: the last one for the next turn, the one before to be found."""
# Models whose minimum is not 1024 tokens, by a part of their names; the first that fits counts.
_LEAST = (
    ("haiku-3", 2048), ("3-haiku", 2048), ("3-5-haiku", 2048), ("haiku", 4096),
    ("opus-4-5", 4096), ("opus-4-6", 4096), ("sonnet-4-6", 2048),
)  # fmt: skip
_USUAL_LEAST = 1024
_UNMARKABLE = frozenset({"thinking", "redacted_thinking"})


def least_cached_tokens(model: str) -> int:
    """Return the fewest tokens that the model caches; routers write its version with a dot."""
    model = model.replace(".", "-")
    return next((least for part, least in _LEAST if part in model), _USUAL_LEAST)


def add_cache_marks(body: dict[str, Any], model: str, mark: Mapping[str, str] = MARK) -> None:
    """Mark the stable beginning and the last turns of ``body``, unless something is marked.

    What is marked is replaced in ``body``: the client's own objects stay as they are.
    """
    if _has_marks(body) or _estimated(body) < least_cached_tokens(model):
        return
    system = body.get("system")
    if isinstance(system, str) and system:
        body["system"] = [{"type": "text", "text": system, "cache_control": dict(mark)}]
    elif isinstance(system, list) and system:
        body["system"] = _last_marked(system, mark)
    elif isinstance(tools := body.get("tools"), list) and tools:
        body["tools"] = _last_marked(tools, mark)
    if isinstance(messages := body.get("messages"), list):
        body["messages"] = _with_marked_turns(messages, mark)


def _with_marked_turns(messages: list[Any], mark: Mapping[str, str]) -> list[Any]:
    """Return ``messages`` with a mark at the end of the user's last turns."""
    marked, left = list(messages), LAST_TURNS
    for place in range(len(marked) - 1, -1, -1):
        message = marked[place]
        if not isinstance(message, Mapping) or message.get("role") != "user":
            continue
        content = message.get("content")
        if isinstance(content, str) and content:
            block = {"type": "text", "text": content, "cache_control": dict(mark)}
            marked[place] = {**message, "content": [block]}
        elif isinstance(content, list) and content:
            marked[place] = {**message, "content": _last_marked(content, mark)}
        left -= 1
        if not left:
            break
    return marked


def _last_marked(blocks: list[Any], mark: Mapping[str, str]) -> list[Any]:
    """Return ``blocks`` with a mark at the last one that may have it."""
    for place in range(len(blocks) - 1, -1, -1):
        block = blocks[place]
        if not isinstance(block, Mapping):
            continue
        kind = block.get("type")
        if not isinstance(kind, str | None) or kind in _UNMARKABLE:
            continue
        if kind == "text" and not block.get("text"):
            continue  # an empty text cannot be cached
        marked = {**block, "cache_control": dict(mark)}
        return [*blocks[:place], marked, *blocks[place + 1 :]]
    return blocks


def _has_marks(body: Mapping[str, Any]) -> bool:
    if body.get("cache_control") is not None:
        return True
    for field in ("tools", "system"):
        blocks = body.get(field)
        if isinstance(blocks, list) and any(map(_is_marked, blocks)):
            return True
    messages = body.get("messages")
    return isinstance(messages, list) and any(
        _is_marked(block)
        for message in messages
        if isinstance(message, Mapping) and isinstance(message.get("content"), list)
        for block in message["content"]
    )


def _is_marked(block: Any) -> bool:
    if not isinstance(block, Mapping):
        return False
    if block.get("cache_control") is not None:
        return True
    # A tool's result may have marked parts.
    content = block.get("content")
    return isinstance(content, list) and any(
        isinstance(part, Mapping) and part.get("cache_control") is not None for part in content
    )


def _estimated(body: Mapping[str, Any]) -> int:
    """Return the estimated tokens of what can be cached; it stops at the largest minimum."""
    enough = max(_USUAL_LEAST, *(least for _, least in _LEAST))
    total = 0
    for field in ("tools", "system", "messages"):
        parts = body.get(field)
        for part in parts if isinstance(parts, list) else [parts or ""]:
            total += estimate_tokens(part if isinstance(part, str) else str(part))
            if total >= enough:
                return total
    return total
