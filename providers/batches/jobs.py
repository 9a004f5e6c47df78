"""What a batch is to all providers: its lines, its state, its results, and how it is looked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from providers.values import frozen

BatchState = Literal["running", "ended", "gone"]
"""``gone``: the provider does not know the batch any more, nor what came of it."""
JSON_TYPE = {"content-type": "application/json"}
PAGE = 100
"""Batches asked for at once where one is looked for."""
MOST_PAGES = 50
CLOCK_SKEW = timedelta(minutes=5)
"""How far a provider's clock may differ from ours."""
LineEnding = Literal["answered", "failed", "expired", "cancelled"]


@frozen
class BatchLine:
    """One request of a batch: ``body`` is its JSON at ``path``, as its provider reads it.

    ``custom_id`` names it in the results: at most 64 letters, digits, "-" and "_".
    """

    custom_id: str
    path: str
    body: Mapping[str, Any]


@frozen
class BatchOrder:
    """A batch to create. ``name`` is unique, and the provider shows it where it can.

    All lines have the same ``model``, path and ``headers``, which are those of the client's API.
    """

    name: str
    model: str
    lines: Sequence[BatchLine]
    headers: Mapping[str, str]


@frozen
class ExpectedLines:
    """The lines of a batch that is looked for: their number, and names among which theirs are."""

    count: int
    custom_ids: frozenset[str]


@frozen
class BatchView:
    """A batch as its provider shows it now.

    ``files`` are the provider's files with results, if they are files; ``reason`` says why it
    has no results at all, empty if it has.
    """

    state: BatchState
    files: tuple[str, ...] = ()
    reason: str = ""


@frozen
class LineResult:
    """How one line ended. ``body`` is the JSON of its answer, for the ending "answered".

    ``status`` and ``message`` say why it failed, as far as the provider says it.
    """

    custom_id: str
    ending: LineEnding
    body: bytes = b""
    status: int | None = None
    message: str = ""


@frozen
class Sought:
    """What came of looking for a batch: its id, or whether that is known at all.

    Without an id, ``known`` says that the provider has no such batch.
    """

    batch_id: str = ""
    known: bool = True


class BatchApi(ABC):
    """The batches of one provider. Every method raises :class:`providers.errors.ProviderError`.

    ``most_lines`` and ``most_bytes`` limit a batch; ``uploads`` is whether its lines are a file
    that is uploaded before.
    """

    most_lines: int
    most_bytes: int
    uploads: bool

    @abstractmethod
    async def upload(self, order: BatchOrder) -> str:
        """Upload the lines; return the id of the file."""

    @abstractmethod
    async def create(self, order: BatchOrder, file_id: str) -> str:
        """Create the batch; return its id."""

    @abstractmethod
    async def seek(
        self, name: str, lines: ExpectedLines, since: datetime, other: Collection[str]
    ) -> Sought:
        """Look for a batch that may have been created ``since`` then.

        ``other`` are the ids of batches that are known to be others.
        """

    @abstractmethod
    async def view(self, batch_id: str) -> BatchView:
        """Return the batch as it is now."""

    @abstractmethod
    def results(self, batch_id: str, view: BatchView) -> AsyncGenerator[LineResult, None]:
        """Yield the results of a batch that has ended, in any order."""

    @abstractmethod
    async def cancel(self, batch_id: str) -> None:
        """Ask for the end of the batch; what is answered already stays in its results."""

    @abstractmethod
    async def clean_up(self, batch_id: str, files: Sequence[str]) -> None:
        """Delete what the provider still keeps of a batch that is read."""
