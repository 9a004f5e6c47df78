"""Log lines without tracebacks: frames and messages may contain prompts or keys."""

from __future__ import annotations

import logging
import traceback
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter as _JsonFormatter

from optimizer.monitoring.request_context import current_request


class _NoTraceback(logging.Formatter):
    """Formats an exception as its type and location, without its message."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the base class's name
        """Return the type of the exception and the line that raised it."""
        kind, _, trace = ei
        frames = traceback.extract_tb(trace)
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown place"
        return f"{kind.__name__ if kind else 'Exception'} at {place}"

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - the base class's name
        """Return nothing: stacks are not logged."""
        return ""


class PlainFormatter(_NoTraceback):
    """Plain text lines, for people."""


class JsonFormatter(_NoTraceback, _JsonFormatter):
    """One JSON object per line, for programs; times are ISO 8601 in UTC."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Return the time as ISO 8601 in UTC, to the millisecond."""
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class AboutRequest(logging.Filter):
    """Adds the ids of the current request and its trace to a line, if there are any."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set ``request_id`` and ``trace_id``; keep every record."""
        context = current_request()
        record.request_id = str(context.request_id) if context else None
        parts = context.trace_parent.split("-") if context else []
        record.trace_id = parts[1] if len(parts) == 4 else None
        return True
