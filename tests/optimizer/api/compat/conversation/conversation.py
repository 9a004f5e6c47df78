"""A conversation of one client with one or more models, checked after each turn."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from analytics.models import BudgetHold, RequestRecord
from optimizer.wiring.build import get_services
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.strict.author import Answer, Author, Entry
from tests.optimizer.api.compat.conversation.client import SYSTEM, ConversationClient, Said


@dataclass
class Partner:
    """A strict model and the server where it answers."""

    author: Author
    fake: FakeProvider


@dataclass
class Conversation:
    """``told`` is all that was said so far, each entry with the provider that wrote it."""

    client: ConversationClient
    partners: dict[str, Partner]
    told: list[tuple[Entry, str]] = field(default_factory=list)

    async def turn(
        self, provider: str, said: Awaitable[Said], asked: list[Entry], *, answer: Answer
    ) -> Said:
        """Send what ``said`` sends, and check all that the answer and the ledger say."""
        author = self.partners[provider].author
        author.will(answer)
        found = await said
        refusals = [words for p in self.partners.values() for words in p.author.refusals]
        assert (found.status, refusals) == (200, []), found.error
        assert (found.text, [call[1:] for call in found.calls]) == (
            answer.text, list(answer.calls)
        )  # fmt: skip
        await self.check_ledger("ok", author.model)
        self.told += [(entry, "") for entry in asked]
        assert author.history == self.history_for(provider)
        self.told += [(entry, provider) for entry in author.written]
        return found

    async def fails(self, said: Awaitable[Said], status: int, *, words: str, row: str) -> None:
        """Send what ``said`` sends; the client is told why it fails, and the ledger knows."""
        found = await said
        assert (found.status, words in found.error) == (status, True), found
        await self.check_ledger(row)

    async def check_ledger(self, status: str, model: str | None = None) -> None:
        await get_services().refusals.drain()
        record = await RequestRecord.objects.order_by("-id").afirst()
        assert record is not None
        assert record.status == status
        if model is not None:
            assert (record.model, record.streamed) == (model, self.client.streamed)
            assert record.cost is not None
            assert record.cost > 0
        assert not await BudgetHold.objects.aexists()

    def history_for(self, provider: str) -> list[Entry]:
        """What a provider must have been told: all but what others thought."""
        entries = [
            entry
            for entry, writer in self.told
            if entry[0] not in ("thinking", "signature") or writer == provider
        ]
        return [("system", SYSTEM), *entries]

    def will_fail_once(self, provider: str, status: int, **headers: str) -> str:
        """Let the provider fail the next request; return the words of its error."""
        partner = self.partners[provider]
        words = f"The provider says {status}."
        body: Any = partner.author.error(words)
        partner.fake.next(Reply(body, status, headers))
        return words
