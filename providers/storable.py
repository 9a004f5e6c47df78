"""Text that any database takes: JSON can spell what UTF-8 and PostgreSQL cannot hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from providers.chat import Text, ToolCall
from providers.completion import AnswerPart, Choice, Completion, Thinking

# Lone surrogates (UTF-8) and NUL (PostgreSQL).
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable_text(text: str) -> str:
    """``text`` with NULs and lone surrogates as U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text) if _UNSTORABLE.search(text) else text


def storable_json(value: Any) -> Any:
    """JSON of whose texts the same holds, keys included."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, Mapping):
        return {storable_text(k): storable_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable_json(item) for item in value]
    return value


def storable_completion(completion: Completion) -> Completion:
    """``completion`` with storable text throughout; itself when it already is."""
    if any(_UNSTORABLE.search(text) for choice in completion.choices for text in _texts(choice)):
        return replace(completion, choices=tuple(map(_storable_choice, completion.choices)))
    return completion


def _texts(choice: Choice) -> list[str]:
    found = [part.text for part in choice.parts if isinstance(part, (Text, Thinking))]
    found += [part.arguments for part in choice.tool_calls]
    return [*found, choice.refusal]


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
