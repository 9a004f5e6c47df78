"""Make text storable in any database: JSON allows characters that UTF-8 or PostgreSQL reject."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from providers.chat import Text, Thinking, ToolCall
from providers.completion import AnswerPart, Choice, Completion
from providers.large_json import MOST_LEVELS

# Lone surrogates (UTF-8) and NUL (PostgreSQL).
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# One call that searches keeps the interpreter from other threads for a millisecond or two.
_PIECE = 1 << 18


def storable_text(text: str) -> str:
    """Return ``text`` with NULs and lone surrogates replaced by U+FFFD."""
    if len(text) <= _PIECE:
        return _UNSTORABLE.sub("\ufffd", text) if _UNSTORABLE.search(text) else text
    return "".join(
        _UNSTORABLE.sub("\ufffd", text[at : at + _PIECE]) for at in range(0, len(text), _PIECE)
    )


def storable_json(value: Any, levels: int = MOST_LEVELS) -> Any:
    """Return the JSON ``value`` with all its texts, keys included, made storable.

    Infinities, NaN and what is nested deeper than ``levels`` become ``None``.
    """
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, (Mapping, list, tuple)) and levels == 0:
        return None
    if isinstance(value, Mapping):
        return {storable_text(k): storable_json(v, levels - 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable_json(item, levels - 1) for item in value]
    return value


def storable_completion(completion: Completion) -> Completion:
    """Return ``completion`` with storable texts; the same object if they already are."""
    if any(_UNSTORABLE.search(text) for choice in completion.choices for text in _texts(choice)):
        return replace(completion, choices=tuple(map(_storable_choice, completion.choices)))
    return completion


def _texts(choice: Choice) -> list[str]:
    texts = [part.text for part in choice.parts if isinstance(part, (Text, Thinking))]
    texts += [part.arguments for part in choice.tool_calls]
    return [*texts, choice.refusal]


def _storable_choice(choice: Choice) -> Choice:
    return replace(
        choice,
        parts=tuple(map(_storable_part, choice.parts)),
        refusal=storable_text(choice.refusal),
    )


def _storable_part(part: AnswerPart) -> AnswerPart:
    if isinstance(part, (Text, Thinking)):
        return replace(part, text=storable_text(part.text))
    if isinstance(part, ToolCall):
        return replace(part, arguments=storable_text(part.arguments))
    return part
