"""Log lines that never carry a traceback: frames and messages may hold prompts or keys."""

from __future__ import annotations

import logging
import traceback
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter as _JsonFormatter

from optimizer.monitoring.request_context import current_request


class _NoTraceback(logging.Formatter):
    """Names an exception's type and the place it came from, and nothing it said."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the base class's name
        kind, _, trace = ei
        frames = traceback.extract_tb(trace)
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown place"
        return f"{kind.__name__ if kind else 'Exception'} at {place}"

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - the base class's name
        return ""


class PlainFormatter(_NoTraceback):
    """For people."""


class JsonFormatter(_NoTraceback, _JsonFormatter):
    """One JSON object a line, for programs; times are ISO 8601 in UTC."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class AboutRequest(logging.Filter):
    """Adds the request that a line is about: its id and its trace, where there is one."""

    def filter(self, record: logging.LogRecord) -> bool:
        context = current_request()
        record.request_id = str(context.request_id) if context else None
        parts = context.trace_parent.split("-") if context else []
        record.trace_id = parts[1] if len(parts) == 4 else None
        return True
