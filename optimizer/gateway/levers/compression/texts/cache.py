"""Keeps the short texts that were written last: every turn of a session sends them again."""

from __future__ import annotations

import threading
from collections import OrderedDict

from optimizer.gateway.levers.compression.texts.forms import short_text

_MOST_BYTES = 32 * 1024 * 1024
_OBJECT = 512


class ShortTexts:
    """Writes short texts, each once; safe for several threads."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most_bytes
        self._size = 0
        self._known: OrderedDict[tuple[bytes, str, str], str | None] = OrderedDict()
        self._lock = threading.Lock()

    def short(self, digest: bytes, text: str, form: str, handle: str) -> str | None:
        """Return ``text``, whose digest is known, in ``form``; ``None`` if that is not known."""
        key = (digest, form, handle)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        made = short_text(text, form, handle)
        with self._lock:
            if key not in self._known:
                self._known[key] = made
                self._size += _weight(made)
            while self._size > self._most:
                _, old = self._known.popitem(last=False)
                self._size -= _weight(old)
        return made


def _weight(short: str | None) -> int:
    return _OBJECT + 2 * len(short or "")
