"""Keeps the short texts that were written last: every turn of a session sends them again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from optimizer.gateway.levers.compression.texts.forms import short_text
from providers.token_estimates import estimate_tokens

_MOST_BYTES = 32 * 1024 * 1024
_OBJECT = 512


class Short(NamedTuple):
    """A short text, ``None`` if its form is not known, and the tokens that it saves."""

    text: str | None
    saved: int


class ShortTexts:
    """Writes short texts, each once; safe for several threads."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most_bytes
        self._size = 0
        self._known: OrderedDict[tuple[bytes, str, str], Short] = OrderedDict()
        self._lock = threading.Lock()

    def short(self, digest: bytes, text: str, form: str, handle: str) -> Short:
        """Return ``text``, whose digest is known, in ``form``."""
        key = (digest, form, handle)
        with self._lock:
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return known
        short = short_text(text, form, handle)
        saved = 0 if short is None else estimate_tokens(text) - estimate_tokens(short)
        made = Short(short, saved)
        with self._lock:
            if key not in self._known:
                self._known[key] = made
                self._size += _weight(made)
            while self._size > self._most:
                _, old = self._known.popitem(last=False)
                self._size -= _weight(old)
        return made


def _weight(short: Short) -> int:
    return _OBJECT + 2 * len(short.text or "")
