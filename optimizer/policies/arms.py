"""Draws arms by a hash, so that a unit has the same arm each time and on every worker."""

from __future__ import annotations

import hashlib

_BUCKETS = 2**64


def place_of(what: str, unit: str) -> float:
    """Return the place of ``unit`` in what is drawn, 0-1.

    Units are spread evenly, and their places in one draw say nothing of those in another.
    """
    digest = hashlib.sha256(f"{what}\0{unit}".encode()).digest()
    return int.from_bytes(digest[:8]) / _BUCKETS
