"""Log lines that never carry a traceback: frames and messages may hold prompts or keys."""

from __future__ import annotations

import logging
import traceback
from typing import Any


class PlainFormatter(logging.Formatter):
    """Names an exception's type and the place it came from, and nothing it said."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the base class's name
        kind, _, trace = ei
        frames = traceback.extract_tb(trace)
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown place"
        return f"{kind.__name__ if kind else 'Exception'} at {place}"

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - the base class's name
        return ""
