"""Records requests that are refused: at $0, with the reason, within a rate.

A refusal is recorded after its reply, in the background: it delays no reply, and one that
cannot be recorded changes none. Refusals above the rate are counted without a row.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from analytics.ledger.ledger import Ledger, LedgerEntry, LedgerUnavailable
from analytics.ledger.refusals import RefusalKind, kind_of, refusals_add_unrecorded
from analytics.models import RequestRecord
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.request import storable_id
from optimizer.shared.tasks import Background
from providers.storable import storable_text

logger = logging.getLogger(__name__)

_LONGEST_REASON = 500
_LONGEST_NAME = 200
_LONGEST_CODE = 40
_PERIOD_SECONDS = 60.0
_MOST_KINDS = 1_000
"""The most kinds of uncounted refusals in memory; all others are counted as one."""
# What keys of this service, of providers and of clouds look like.
_SECRET = re.compile(
    r"\b(?:sk|pk|rk|aco|gsk|xai|csk)[-_][A-Za-z0-9_\-]{8,}|\bAIza[\w\-]{10,}|\bAKIA[A-Z0-9]{8,}"
    r"|\b(?:ghp|gho|github_pat|glpat|xox[abprs])[-_]?\w{10,}|\beyJ[\w\-]{10,}\.[\w\-.]+"
    r"|(?i:bearer\s+|api[-_ ]?key\W{1,3})[\w\-.~+/]{8,}"
)

CountRefusal = Callable[[str, int, str, bool], object]
"""Called with endpoint, HTTP status, reason, and whether the refusal gets a row."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused request, as far as it is known.

    ``code`` is the reason for programs, ``text`` for people. ``quotes`` is whether the text
    may quote what the client sent; ``plain`` then says the same without a quotation.
    ``source`` tells clients without a key apart: it is not stored.
    """

    request_id: uuid.UUID
    endpoint: str
    status: int
    code: str
    text: str
    plain: str = ""
    quotes: bool = False
    client: Client = ANONYMOUS
    source: str = ""
    requested_model: str = ""
    user_id: str = ""
    streamed: bool = False


class Refusals:
    """Records refusals, at most so many a minute: in all, and for one client.

    ``quotations`` is whether texts that may quote a prompt may be stored.
    """

    def __init__(
        self,
        ledger: Ledger,
        count: CountRefusal,
        *,
        quotations: bool,
        per_minute: int,
        per_client: int,
    ) -> None:
        self._ledger = ledger
        self._count = count
        self._quotations = quotations
        self._per_minute = per_minute
        self._per_client = per_client
        self._period_ends = 0.0
        self._recorded = 0
        self._by_client: Counter[str] = Counter()
        self._unrecorded: Counter[RefusalKind] = Counter()
        self._background = Background()
        self._loop: asyncio.AbstractEventLoop | None = None

    def note(self, refusal: Refusal) -> None:
        """Record ``refusal`` in the background, or count it. Never raises."""
        try:
            record = self._record_of(refusal)
            recorded = self._within_rate(refusal.client.key or refusal.source)
            self._count(record.endpoint, refusal.status, record.error_code, recorded)
            if not (recorded and self._begin(record)):
                self._leave_out(record)
        except Exception as error:  # a refusal is told to the client whatever happens here
            logger.error("A refusal could not be noted", exc_info=error)

    def write_counts(self) -> None:
        """Write the number of refusals without a row. Call this off the event loop."""
        counts, self._unrecorded = self._unrecorded, Counter()
        if not counts:
            return
        try:
            refusals_add_unrecorded(counts)
        except Exception:
            self._unrecorded.update(counts)
            raise
        logger.warning(
            "%d refused requests were counted without a record of their own: %s",
            counts.total(),
            ", ".join(f"{kind.reason} ({n})" for kind, n in counts.most_common(5)),
        )

    async def drain(self) -> None:
        """Wait until all noted refusals are recorded."""
        await self._background.drain()

    def _within_rate(self, client: str) -> bool:
        now = time.monotonic()
        if now >= self._period_ends:
            self._period_ends = now + _PERIOD_SECONDS
            self._recorded = 0
            self._by_client.clear()
        # Clients are kept only while something is recorded, so there are at most as many.
        if self._recorded >= self._per_minute or self._by_client[client] >= self._per_client:
            return False
        self._recorded += 1
        self._by_client[client] += 1
        return True

    def _begin(self, record: RequestRecord) -> bool:
        """Start to record; return whether there is an event loop to do it on."""
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            # A thread of Django.
            if self._loop is None or self._loop.is_closed():
                return False
            self._loop.call_soon_threadsafe(self._begin, record)
            return True
        self._background.run(self._record(record))
        return True

    async def _record(self, record: RequestRecord) -> None:
        try:
            await self._ledger.record(LedgerEntry(record))
        except LedgerUnavailable:
            logger.warning("A refused request could not be recorded; it is counted")
            self._leave_out(record)

    def _leave_out(self, record: RequestRecord) -> None:
        kind = kind_of(record)
        if kind not in self._unrecorded and len(self._unrecorded) >= _MOST_KINDS:
            kind = kind._replace(endpoint="", http_status=0, reason="other")
        self._unrecorded[kind] += 1

    def _record_of(self, refusal: Refusal) -> RequestRecord:
        client = refusal.client
        text = refusal.text if self._quotations or not refusal.quotes else refusal.plain
        return RequestRecord(
            id=refusal.request_id,
            created_at=datetime.now(UTC),
            status=RequestRecord.Status.REFUSED,
            http_status=refusal.status,
            endpoint=refusal.endpoint,
            error_code=_without_secrets(refusal.code, _LONGEST_CODE),
            error_detail=_without_secrets(text, _LONGEST_REASON),
            requested_model=_without_secrets(refusal.requested_model, _LONGEST_NAME),
            streamed=refusal.streamed,
            user_id=client.user or storable_id(_without_secrets(refusal.user_id, _LONGEST_NAME)),
            api_key=client.key,
            tenant=client.tenant,
            project=client.project,
            tags=list(client.tags),
            cost=Decimal(0),
            complexity=0.0,  # of a request that was not analyzed, as its empty tier says
        )


def _without_secrets(text: str, longest: int) -> str:
    # What is cut off first could leave the beginning of a key that is no longer recognized.
    return _SECRET.sub("[removed]", storable_text(text[: 4 * longest]))[:longest]
