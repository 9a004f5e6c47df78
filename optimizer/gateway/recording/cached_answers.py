"""Converts a completion to the form that the response cache stores, and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from analytics.models import CachedResponse
from providers.chat import Text, Thinking, ToolCall
from providers.completion import AnswerPart, Choice, Completion, Opaque, Usage
from providers.storable import storable_json


def answer_json(completion: Completion) -> dict[str, Any] | None:
    """Return the JSON of an answer; ``None`` if the entry's text alone is the whole answer."""
    first = completion.choices[0]
    plain = len(completion.choices) == len(first.parts) == 1 and type(first.parts[0]) is Text
    if plain and not (first.refusal or first.logprobs or completion.extra):
        return None
    answer: dict[str, Any] = storable_json(
        {
            "choices": [_choice_json(choice) for choice in completion.choices],
            "extra": completion.extra,
        }
    )
    return answer


def cached_completion(entry: CachedResponse) -> Completion:
    """Return the answer that is stored in ``entry``."""
    choices: tuple[Choice, ...] = (
        Choice((Text(entry.response),), entry.finish_reason or "stop"),  # type: ignore[arg-type]
    )
    if entry.answer is not None:
        choices = tuple(map(_choice, entry.answer["choices"]))
    return Completion(
        provider=entry.provider,
        model=entry.model,
        choices=choices,
        usage=Usage(entry.tokens_in, entry.tokens_out),
        extra=entry.answer["extra"] if entry.answer else {},
    )


def _choice_json(choice: Choice) -> dict[str, Any]:
    return {
        "parts": [_part_json(part) for part in choice.parts],
        "finish_reason": choice.finish_reason,
        "refusal": choice.refusal,
        "stop_sequence": choice.stop_sequence,
        "logprobs": choice.logprobs,
    }


def _choice(raw: dict[str, Any]) -> Choice:
    return Choice(**{**raw, "parts": tuple(map(_part, raw["parts"]))})


_KINDS: dict[str, type[AnswerPart]] = {
    "text": Text,
    "tool_call": ToolCall,
    "thinking": Thinking,
    "opaque": Opaque,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_FIELDS = {kind: [field.name for field in fields(kind)] for kind in _NAMES}


def _part_json(part: AnswerPart) -> dict[str, Any]:
    kind = type(part)
    return {"kind": _NAMES[kind], **{name: getattr(part, name) for name in _FIELDS[kind]}}


def _part(raw: dict[str, Any]) -> AnswerPart:
    return _KINDS[raw["kind"]](**{k: v for k, v in raw.items() if k != "kind"})
