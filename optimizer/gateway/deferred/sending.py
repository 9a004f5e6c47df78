"""Gathers requests into batches and creates these at their providers, each exactly once.

That a batch is about to be created is written down before. If its creation is in doubt after
that, because the worker died or the provider did not answer, it is looked for, and created again
only once the provider certainly does not have it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import islice

from analytics.deferred import batches as steps
from analytics.deferred.requests import deferred_end
from analytics.models import DeferredRequest, ProviderBatch
from optimizer.gateway.deferred.context import KEY_GONE, LaneContext
from optimizer.gateway.deferred.restored import restored
from providers.batches.jobs import BatchApi, BatchLine, BatchOrder, ExpectedLines
from providers.batches.json_lines import line_of
from providers.errors import ConnectionFailed, ProviderError

logger = logging.getLogger(__name__)

_READ_TOGETHER = 20_000
IN_DOUBT = timedelta(minutes=12)
"""After this long, a call to create a batch that was begun has certainly ended."""
_MOST_FAILURES = 5
_NOT_CREATED = frozenset({400, 401, 402, 403, 404, 409, 413, 422, 429})
"""With these statuses a provider says that it created no batch."""
_LATER = frozenset({401, 403, 409, 429})
"""After these, the same may work later."""


class Sender:
    """Plans batches and creates them."""

    def __init__(self, context: LaneContext) -> None:
        self._context = context

    async def plan(self) -> None:
        """Put requests that have waited long enough into batches."""
        context, options = self._context, self._context.options()
        now = context.clock()
        groups: dict[tuple[str, str, str], list[DeferredRequest]] = defaultdict(list)
        for row in await context.do(steps.requests_waiting, _READ_TOGETHER):
            soon = row.deadline_at - timedelta(seconds=options.fallback_seconds) <= now
            if not row.direct and not soon and context.api(row.provider) is not None:
                groups[row.provider, row.model, row.group].append(row)
        for (provider, model, _), rows in groups.items():
            oldest = min(row.created_at for row in rows)
            waited = now - oldest >= timedelta(seconds=options.gather_seconds)
            if not waited and len(rows) < options.most_in_batch:
                continue
            for part in _parts(rows, options.most_in_batch):
                ids = [row.pk for row in part]
                await context.do(steps.batch_plan, provider, model, {}, ids)

    async def create(self, batch: ProviderBatch) -> None:
        """Create a planned batch; errors of its provider are written down."""
        context = self._context
        api = context.api(batch.provider)
        if api is None:
            await self._give_up(batch, "the provider is not configured any more")
            return
        order = await self._order(batch, api)
        if not order.lines:
            await context.do(
                steps.batch_close, batch.pk, ProviderBatch.State.FAILED, "it is empty", direct=False
            )
            return
        try:
            file_id = batch.file_id
            if api.uploads and not file_id:
                file_id = await api.upload(order)
                await context.do(steps.batch_note_file, batch.pk, file_id)
        except ProviderError as error:
            await self._failed(batch, error)
            return
        if not await context.do(steps.batch_note_intent, batch.pk, len(order.lines)):
            return
        if not context.leased():
            return  # another worker may work on the batch by now
        try:
            made = await api.create(order, file_id)
        except ProviderError as error:
            if error.status not in _NOT_CREATED and not _never_sent(error):
                # The provider may have it: look for it before anything else.
                await context.do(steps.batch_postpone, batch.pk, 0, str(error))
                return
            await context.do(steps.batch_note_absent, batch.pk)
            await self._failed(batch, error)
            return
        await context.do(steps.batch_note_created, batch.pk, made)

    async def resolve(self, batch: ProviderBatch) -> None:
        """Look for a batch whose creation is in doubt."""
        context, api = self._context, self._context.api(batch.provider)
        assert batch.intent_at is not None
        if api is None:
            return
        rows = await context.do(steps.requests_of_batch, batch.pk)
        ids = frozenset(custom_id(batch, row) for row in rows)
        lines = ExpectedLines(batch.requests_count, ids)
        other = await context.do(steps.objects_of_provider, batch.provider)
        sought = await api.seek(batch.pk.hex, lines, batch.intent_at, other)
        if sought.batch_id:
            await context.do(steps.batch_note_created, batch.pk, sought.batch_id)
        elif sought.known and context.clock() - batch.intent_at > IN_DOUBT:
            await context.do(steps.batch_note_absent, batch.pk)

    async def _order(self, batch: ProviderBatch, api: BatchApi) -> BatchOrder:
        """Return the batch as its provider gets it; what does not fit is left to other batches."""
        context = self._context
        rows = await context.do(steps.requests_of_batch, batch.pk)
        open_rows = [row for row in rows if row.state == DeferredRequest.State.IN_BATCH]
        lines: list[BatchLine] = []
        headers: Mapping[str, str] = {}
        size = 0
        for row in open_rows:
            if context.client_of(row.api_key) is None:
                await context.do(
                    deferred_end, row.pk, DeferredRequest.State.FAILED, KEY_GONE,
                    "The API key of the request is not valid any more.", 401,
                )  # fmt: skip
                continue
            try:
                line, own_headers = await asyncio.to_thread(self._line, batch, row)
            except Exception as error:  # no row may keep the others from being sent
                logger.error("A deferred request cannot be part of a batch", exc_info=error)
                await context.do(steps.request_return, row.pk, batch.pk, direct=True)
                continue
            size += len(line_of(line.body)) + 200
            first = not lines
            headers = own_headers if first else headers
            fits = first or (line.path == lines[0].path and own_headers == headers)
            if not fits or len(lines) >= api.most_lines or (size > api.most_bytes and not first):
                await context.do(steps.request_return, row.pk, batch.pk, direct=False)
                continue
            lines.append(line)
        return BatchOrder(batch.pk.hex, batch.model, lines, headers)

    def _line(self, batch: ProviderBatch, row: DeferredRequest) -> tuple[BatchLine, dict[str, str]]:
        context = self._context
        client = context.client_of(row.api_key)
        assert client is not None
        request = restored(row, client).request
        provider, wire_request = context.wire_request(batch.provider, batch.model, request)
        path, body = provider.batched_body(wire_request)
        source = request.chat.source
        sent = {} if source is None else source.headers
        headers = {name: value for name, value in sent.items() if name == "anthropic-beta"}
        return BatchLine(custom_id(batch, row), path, body), headers

    async def _failed(self, batch: ProviderBatch, error: ProviderError) -> None:
        again = error.status in _LATER or error.status is None or error.status >= 500
        if not again or batch.calls_failed + 1 >= _MOST_FAILURES:
            await self._give_up(batch, str(error))
            return
        seconds = max(error.retry_after or 0, 30 * 2**batch.calls_failed)
        logger.warning("A batch could not be created yet: %s", error)
        await self._context.do(steps.batch_postpone, batch.pk, seconds, str(error))

    async def _give_up(self, batch: ProviderBatch, reason: str) -> None:
        logger.warning("A batch of %s is given up: %s", batch.provider, reason)
        state = ProviderBatch.State.FAILED
        await self._context.do(steps.batch_close, batch.pk, state, reason, direct=True)


def custom_id(batch: ProviderBatch, row: DeferredRequest) -> str:
    """Return the name of a request in a batch: no other batch has the same."""
    return f"{row.pk.hex}-{batch.pk.hex[:16]}"


def _never_sent(error: ProviderError) -> bool:
    return isinstance(error, ConnectionFailed) and not error.maybe_charged


def _parts(rows: Sequence[DeferredRequest], size: int) -> Sequence[Sequence[DeferredRequest]]:
    rest = iter(rows)
    return list(iter(lambda: list(islice(rest, size)), []))
