"""JSON that everybody reads alike, for what is checked here and then passed on as it came."""

from __future__ import annotations

import json
from typing import Any


def unambiguous_json(text: bytes) -> Any:
    """Return the value of JSON whose objects name each field once.

    Readers differ in which of two fields of one name counts, so a check of one of them says
    nothing of what another server does. Raises :class:`ValueError`, whose message says why.
    """
    try:
        return json.loads(text, object_pairs_hook=_named_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it names the field '{twice[:40]}' twice")
    return fields
