"""The answers that the response cache keeps: which ones, and in which form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from analytics.models import CachedResponse
from providers.chat import Chat, Text, Thinking, ToolCall
from providers.completion import AnswerPart, Choice, Completion, Opaque, Usage
from providers.resilience import Attempt
from providers.storable import storable_json

# Other endings (such as a content filter's) may not occur again, so they are not given to others.
_CACHEABLE_ENDINGS = frozenset({"stop", "length", "tool_calls"})
_PASSED = frozenset({"passed", "changed"})
# The fields in which a client limits an answer, on the wires that do not require one.
_LIMITS = frozenset(
    {"max_tokens", "max_completion_tokens", "max_output_tokens", "generationConfig"}
)


def may_be_given_again(choice: Choice, chat: Chat) -> bool:
    """Return whether ``choice`` answers the same request of others, too."""
    body = chat.source.body if chat.source is not None else {}
    if choice.finish_reason == "length" and body and not _LIMITS & body.keys():
        return False  # cut off where the client set no limit: the next answer may be whole
    if choice.refusal or choice.finish_reason not in _CACHEABLE_ENDINGS:
        return False
    # Reasoning without an answer, and white space, are of no use to the next who asks.
    return bool(choice.text.strip()) or any(
        not isinstance(part, (Text, Thinking)) for part in choice.parts
    )


def passed_rails(attempts: Sequence[Attempt]) -> bool:
    """Return whether guard rails could check the call, and refused nothing of its answer."""
    return all(one.rail is None or one.rail["verdict"] in _PASSED for one in attempts)


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
