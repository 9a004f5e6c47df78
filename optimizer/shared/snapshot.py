"""What a worker keeps in memory of a table, read again when the table changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")
_NEVER_READ = object()


class Snapshot(Generic[Value]):
    """The last value that ``load`` returned; ``None`` until it was read.

    ``version`` returns a value that differs once the table has changed; without it every
    refresh reads the table. Both read the database, so call :meth:`refresh` on a thread, never
    on the event loop.
    """

    def __init__(
        self, load: Callable[[], Value], version: Callable[[], object] | None = None
    ) -> None:
        self._load = load
        self._version_now = version
        self.value: Value | None = None
        self.version: object = _NEVER_READ

    def refresh(self) -> bool:
        """Read the table if it has changed; return whether it was read.

        Raises what ``load`` and ``version`` raise; the last value stays then.
        """
        version = self._version_now() if self._version_now is not None else None
        if self._version_now is not None and version == self.version:
            return False
        self.value = self._load()
        self.version = version
        return True
