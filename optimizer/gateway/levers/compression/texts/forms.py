"""The short form of a text: which one fits it, and how it is written.

A form is a short text such as ``log.1:600``: the name, the version of how it is written, and its
own number. The short text is a function of the original and the form alone, so that every later
turn of a conversation, on any worker, sends the same bytes by the form. A version that a later
release does not know any more is sent as the original.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from optimizer.gateway.levers.compression.texts.json_text import (
    is_json,
    with_columns,
    without_whitespace,
)
from optimizer.gateway.levers.compression.texts.logs import is_log, shortened
from optimizer.gateway.levers.compression.texts.tables import without_padding
from providers.token_estimates import estimate_tokens

TOOL = "optimizer_restore"
"""The name of the tool that returns originals."""
SAME = "same.1"
_JSON, _COLUMNS, _TABLE, _LOG = "json.1", "columns.1", "table.1", "log.1"
_WORTHWHILE = 0.9
"""A short form is used if it has at most this share of the characters of the original."""
_KEPT_OF_LOGS = 0.6
"""The tokens that are kept of a log, as a share of the least tokens that are shortened."""
_FEWER_FOR_COPIES = 4
"""Copies are replaced from a quarter of the size on: their reference is a line."""
_LARGEST = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """How a conversation is shortened.

    ``min_tokens`` is the size from which texts are shortened, ``restorable`` whether the model
    has the tool that returns originals: without it, nothing is left out that stands nowhere else.
    """

    min_tokens: int
    restorable: bool


def digest_of(text: str) -> bytes:
    """Return what stands for a text: 16 bytes."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def handle_of(digest: bytes) -> str:
    """Return the name of an original for the model: 12 hexadecimal digits."""
    return digest[:6].hex()


def large_enough(text: str, min_tokens: int) -> bool:
    """Return whether a text may have so many tokens: a token has at least a character."""
    return len(text) >= min_tokens and estimate_tokens(text) >= min_tokens


def form_of(text: str, limits: Limits, *, exact: bool, repeated: bool) -> str:
    """Return the form in which ``text`` is to be sent, "" if it stays as it is.

    ``exact`` texts, such as a file that is to be edited, are shortened only if they are logs
    beyond doubt. ``repeated`` is whether the same text stands earlier in the conversation.
    """
    if len(text) > _LARGEST:
        return ""
    if repeated:
        return SAME if large_enough(text, limits.min_tokens // _FEWER_FOR_COPIES) else ""
    if not large_enough(text, limits.min_tokens):
        return ""
    for form in _forms_of(text, limits, exact):
        short = _body(text, form)
        if short is not None and len(short[0]) <= _WORTHWHILE * len(text):
            return form
    return ""


def _forms_of(text: str, limits: Limits, exact: bool) -> list[str]:
    """Return the forms that may be worthwhile, the shortest first."""
    log = f"{_LOG}:{int(limits.min_tokens * _KEPT_OF_LOGS)}"
    if exact:
        return [log] if limits.restorable and is_log(text, surely=True) else []
    if is_json(text):
        return [_COLUMNS, _JSON]
    if limits.restorable and is_log(text):
        return [log]
    return [_TABLE] if "|" in text and "---" in text else []


def short_text(text: str, form: str, handle: str) -> str | None:
    """Return ``text`` in ``form``, with a line that says so; ``None`` if the form is not known.

    ``handle`` is the name of the original for the model, "" if it has no tool to get it.
    """
    body = _body(text, form)
    if body is None:
        return None
    more = f' {TOOL}("{handle}") returns the original.' if handle else ""
    return f"[{body[1]}.{more}]\n{body[0]}"


def reference(earlier: str, handle: str) -> str:
    """Return what stands for a copy; ``earlier`` says which result has the same text."""
    which = f" of {earlier}" if earlier else ""
    more = f' {TOOL}("{handle}") returns it.' if handle else ""
    return f"[The same text as the earlier result{which}; not repeated.{more}]"


def _body(text: str, form: str) -> tuple[str, str] | None:
    """Return the short text of a form and what its first line says."""
    if form == _COLUMNS:
        plain = without_whitespace(text)
        short = with_columns(plain)
        if len(short) > _WORTHWHILE * len(plain):
            return None
        return short, "JSON; lists of like objects are written as @columns and @rows"
    if form == _JSON:
        return without_whitespace(text), "JSON without whitespace"
    if form == _TABLE:
        return without_padding(text), "Tables without padding"
    name, _, keep = form.partition(":")
    if name == _LOG and keep.isdigit():
        if (log := shortened(text, int(keep))) is None:
            return None
        total = text.count("\n") + 1
        return log[0], f"Shortened: {log[1]} of {total} lines are left out where marked"
    return None
