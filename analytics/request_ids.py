"""The ids of requests as people write them: with or without what our APIs put before them."""

from __future__ import annotations

import re
import uuid

_OWN_PREFIX = re.compile(r"^(?:chatcmpl-|cmpl-|resp_|msg_)")


def request_id_in(term: str) -> uuid.UUID | None:
    """Return the request's id that ``term`` is, as our APIs or the admin write it, or ``None``."""
    try:
        return uuid.UUID(_OWN_PREFIX.sub("", term.strip()))
    except ValueError:
        return None
