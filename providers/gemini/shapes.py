"""Mend the shapes of Gemini's answers that differ from its documents.

Servers behind the same API send texts as numbers or lists, parts as one object and arguments
as JSON text. Google's own clients fail on these.
"""

from __future__ import annotations

import json
from typing import Any


def mend(body: dict[str, Any]) -> bool:
    """Mend the candidates of ``body`` in place; return whether anything changed."""
    candidates = body.get("candidates")
    if isinstance(candidates, dict):
        body["candidates"] = [candidates]
        mend(body)
        return True
    changed = False
    for candidate in candidates if isinstance(candidates, list) else ():
        if isinstance(candidate, dict):
            changed |= _mend_candidate(candidate)
    return changed


def _mend_candidate(candidate: dict[str, Any]) -> bool:
    changed, content = False, candidate.get("content")
    if isinstance(content, (str, list)):
        content = candidate["content"] = {"role": "model", "parts": content}
        changed = True
    if not isinstance(content, dict):
        return changed
    parts = content.get("parts")
    if isinstance(parts, (str, dict)):
        parts, changed = [parts], True
    if not isinstance(parts, list):
        return changed
    whole = [{"text": part} if isinstance(part, str) else part for part in parts]
    whole = [part for part in whole if isinstance(part, dict)]
    changed |= len(whole) != len(parts) or any(
        a is not b for a, b in zip(whole, parts, strict=True)
    )
    for part in whole:
        changed |= _mend_part(part)
    if changed:
        content["parts"] = whole
    return changed


def _mend_part(part: dict[str, Any]) -> bool:
    changed = False
    if "text" in part and not isinstance(part["text"], str):
        part["text"], changed = _text(part["text"]), True
    if (signature := part.get("thoughtSignature")) is not None and not isinstance(signature, str):
        del part["thoughtSignature"]
        changed = True
    call = part.get("functionCall")
    if isinstance(call, dict) and call.get("args", call) is None:
        call["args"], changed = {}, True
    if isinstance(call, dict) and isinstance(call.get("args"), str):
        arguments = _object(call["args"])
        if arguments is not None:
            call["args"], changed = arguments, True
    return changed


def _text(value: Any) -> str:
    """Return the text that a value of another type stands for."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_text, value))
    if isinstance(value, dict):
        return _text(value.get("text"))
    return "" if value is None else json.dumps(value)


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text.strip() or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
