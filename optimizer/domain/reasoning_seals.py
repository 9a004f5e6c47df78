"""Seals the reasoning of one model for clients of another API, so that it can come back.

A client keeps what it does not understand and hands it back with the next turn. The seal is
stateless: it holds the reasoning and the model that wrote it, signed with Django's secret key.
Whoever gets it back can tell that it is unchanged, and whose it is. It is not encrypted: the
client may read the reasoning anyway.
"""

from __future__ import annotations

import logging
from typing import Any

from django.core.signing import BadSignature, Signer

from providers.chat import SEAL_MARK, Thinking, ToolCall

logger = logging.getLogger(__name__)

_SALT = "optimizer.reasoning"


def is_seal(text: str) -> bool:
    """Return whether ``text`` looks like a seal of this service, valid or not."""
    return text.startswith(SEAL_MARK)


def seal(thinking: Thinking, provider: str, model: str) -> str:
    """Return a text from which :func:`unseal` restores the reasoning and its author."""
    return _signed(
        {
            "p": provider,
            "m": model,
            "t": thinking.text,
            "s": thinking.signature,
            "r": thinking.redacted,
            "d": thinking.details,
        }
    )


def unseal(text: str) -> Thinking | None:
    """Return the sealed reasoning, or ``None`` if ``text`` is no valid seal of this service."""
    sealed = _unsigned(text)
    if sealed is None or "t" not in sealed:
        return None
    return Thinking(sealed["t"], sealed["s"], sealed["r"], sealed["d"], sealed["p"], sealed["m"])


def seal_call(call: ToolCall, provider: str, model: str) -> str:
    """Return the encrypted reasoning that belongs to a tool call, with its author, as a seal."""
    return _signed({"p": provider, "m": model, "c": call.signature})


def unseal_call(text: str) -> tuple[str, tuple[str, str]]:
    """Return the signature of a tool call and its author (provider, model).

    A text that is no seal is the signature itself, of an unknown author; a seal that is not
    valid is no signature.
    """
    if not is_seal(text):
        return text, ("", "")
    sealed = _unsigned(text)
    if sealed is None or "c" not in sealed:
        return "", ("", "")
    return sealed["c"], (sealed["p"], sealed["m"])


def _signed(value: dict[str, Any]) -> str:
    given = {name: item for name, item in value.items() if item or name in {"t", "c"}}
    return SEAL_MARK + Signer(salt=_SALT).sign_object(given, compress=True)


def _unsigned(text: str) -> dict[str, Any] | None:
    if not is_seal(text):
        return None
    try:
        value = Signer(salt=_SALT).unsign_object(text.removeprefix(SEAL_MARK))
    except (BadSignature, ValueError):
        # Another installation's seal, or one that the client has changed.
        logger.info("Reasoning with a seal that is not valid here was left out")
        return None
    if not isinstance(value, dict):
        return None
    return {"p": "", "m": "", "s": "", "r": "", "d": None, **value}
