"""Runs work on the database beside the event loop, on a thread with a connection of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from django.db import Error, connection, transaction

from analytics.database.batcher import Batcher

Result = TypeVar("Result")
_Work = Callable[[], Any]


class DatabaseThread:
    """Runs work in groups: what is queued together is one transaction.

    Work that fails is undone alone, and raises what it raised to its own caller.
    """

    def __init__(self, name: str) -> None:
        self._batcher: Batcher[_Work, Any] = Batcher(name, _run, max_batch=64)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return the result of ``work`` once its transaction is committed."""
        return cast("Result", await self._batcher.call(work))

    def close(self) -> None:
        """Do what is queued, and end the thread."""
        self._batcher.close()


def _run(works: Sequence[_Work]) -> Sequence[Any]:
    try:
        with transaction.atomic():
            return [_result(work) for work in works]
    except Error:
        connection.close()  # so that the next work starts on a new connection
        raise


def _result(work: _Work) -> Any:
    try:
        with transaction.atomic():
            return work()
    except Exception as error:  # noqa: BLE001 - raised to the caller of this work alone
        return error
