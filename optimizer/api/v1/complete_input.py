"""What POST /complete takes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_serializer

from optimizer.api.http.fields import StrictSerializer, TextField, TruthField, WholeNumberField

_MOST_CHARS: int = settings.MAX_PROMPT_CHARS
_MOST_TOKENS, _USUAL_TOKENS = 4000, 1000


@extend_schema_serializer(component_name="CompleteInput")
class CompleteInput(StrictSerializer):
    """A prompt, and how it may be answered."""

    prompt = TextField(max_length=_MOST_CHARS, help_text="What to ask; at least one character.")
    max_tokens = WholeNumberField(
        default=_USUAL_TOKENS,
        min_value=1,
        max_value=_MOST_TOKENS,
        help_text="Longest completion, in tokens.",
    )
    auto_route = TruthField(
        default=False,
        help_text="true: hybrid routing, which learns; false: by complexity alone. An API key "
        "may have true for its default.",
    )
    tokenizer_id = TextField(
        required=False,
        max_length=200,
        help_text="A Hugging Face tokenizer to count with as well, if it is at hand.",
    )


@dataclass(frozen=True, slots=True)
class CompleteQuery:
    """``auto_route`` is ``None`` where the request does not say."""

    prompt: str
    max_tokens: int
    auto_route: bool | None
    tokenizer_id: str | None = None


_USUAL = frozenset({"prompt", "max_tokens", "auto_route"})
# What no database keeps: NUL, and halves of a character.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def read_complete(data: Any) -> CompleteQuery:
    """Raises :class:`rest_framework.exceptions.ValidationError`.

    Building a serializer costs more than all else on a request's way to its model, so it
    is asked only where something is unusual: it knows best what is wrong.
    """
    if _is_usual(data):
        return CompleteQuery(
            data["prompt"], data.get("max_tokens", _USUAL_TOKENS), data.get("auto_route")
        )
    serializer = CompleteInput(data=data)
    serializer.is_valid(raise_exception=True)
    valid = serializer.validated_data
    return CompleteQuery(
        valid["prompt"],
        valid["max_tokens"],
        valid["auto_route"] if "auto_route" in data else None,
        valid.get("tokenizer_id"),
    )


def _is_usual(data: Any) -> bool:
    """Whether the serializer would take ``data`` as it stands."""
    if type(data) is not dict or not data.keys() <= _USUAL:
        return False
    prompt, tokens = data.get("prompt"), data.get("max_tokens", _USUAL_TOKENS)
    return (
        type(prompt) is str
        and 0 < len(prompt) <= _MOST_CHARS
        and not prompt.isspace()
        and not _UNSTORABLE.search(prompt)
        and type(tokens) is int
        and 1 <= tokens <= _MOST_TOKENS
        and type(data.get("auto_route", False)) is bool
    )
