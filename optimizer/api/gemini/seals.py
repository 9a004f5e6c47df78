"""Our seals in the form of Gemini's thought signatures, which are bytes in base64."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from optimizer.domain.reasoning_seals import is_seal, seal, seal_call
from providers.chat import Thinking, ToolCall


def sealed_thought(thinking: Thinking, provider: str, model: str) -> str:
    """Return the signature for a part with reasoning of another API's model."""
    return _encoded(seal(thinking, provider, model))


def sealed_call(call: ToolCall, provider: str, model: str) -> str:
    """Return the signature for a part with a function call of another API's model."""
    return _encoded(seal_call(call, provider, model))


def seal_in(signature: Any) -> str:
    """Return the seal of this service in a thought signature; empty if it is Google's own."""
    if not isinstance(signature, str) or len(signature) < 8:
        return ""
    # Clients may write the same bytes in the alphabet for URLs, or without padding.
    text = signature.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        if not is_seal(base64.b64decode(text[:8]).decode("latin-1")):
            return ""
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
