"""Request ids: UUID version 7 (RFC 9562, section 5.7), so that they sort by time of arrival."""

from __future__ import annotations

import secrets
import time
import uuid
from datetime import datetime


def new_request_id(at: datetime | None = None) -> uuid.UUID:
    """48 bits of Unix milliseconds (now, or ``at``), version, variant and 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000 if at is None else int(at.timestamp() * 1000)
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76
    value |= secrets.randbits(12) << 64
    value |= 0b10 << 62
    value |= secrets.randbits(62)
    return uuid.UUID(int=value)
