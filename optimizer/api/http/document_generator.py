"""The generator of the OpenAPI document, one at a time."""

from __future__ import annotations

from threading import Lock
from typing import Any

from drf_spectacular.generators import SchemaGenerator

_WRITING = Lock()


class OneAtATime(SchemaGenerator):
    """Writes one document at a time: drf-spectacular's first use fails in two threads at once."""

    def get_schema(self, *args: Any, **kwargs: Any) -> Any:
        """Return the document, once no other thread writes one."""
        with _WRITING:
            return super().get_schema(*args, **kwargs)  # type: ignore[no-untyped-call]
