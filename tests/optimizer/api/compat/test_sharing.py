"""Identical streams in flight share one call: each hears all of it, one pays."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from analytics.models import CachedResponse, RequestRecord
from optimizer.wiring.build import get_services
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.streams import openai_stream
from tests.fakes.wires import ANSWER, openai_completion
from tests.patience import eventually

MODEL = "z-ai/glm-5.3-flash"
QUESTION: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "The capital of France?"}],
    "stream": True,
}
LONG = ANSWER * 40


@pytest.fixture
def fake(fakes: dict[str, FakeProvider]) -> FakeProvider:
    """Speaks for a second or so."""
    chunks = openai_stream(openai_completion("m", LONG))
    fakes["openrouter"].always(Reply(chunks=chunks, pause=0.005))
    return fakes["openrouter"]


class Listener:
    """One client of a stream, which may stop listening."""

    def __init__(self, sdk: openai.AsyncOpenAI, **change: Any) -> None:
        self.text = ""
        self.headers: Any = {}
        self.task = asyncio.create_task(self._listen(sdk, {**QUESTION, **change}))

    async def _listen(self, sdk: openai.AsyncOpenAI, question: dict[str, Any]) -> None:
        raw = await sdk.chat.completions.with_raw_response.create(**question)
        self.headers = raw.headers
        async with raw.parse() as stream:
            async for chunk in stream:
                self.text += chunk.choices[0].delta.content or ""

    async def hears(self, characters: int) -> None:
        while len(self.text) < characters:
            assert not self.task.done(), self.task.exception()
            await asyncio.sleep(0.01)

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def records(count: int) -> list[RequestRecord]:
    async def all_there() -> bool:
        return await RequestRecord.objects.acount() == count

    await eventually(all_there)
    return [record async for record in RequestRecord.objects.order_by("-cost", "id")]


@pytest.fixture
def sdk(openai_sdk: openai.AsyncOpenAI) -> openai.AsyncOpenAI:
    return openai_sdk


async def test_each_hears_all_and_one_pays(sdk: openai.AsyncOpenAI, fake: FakeProvider) -> None:
    listeners = [Listener(sdk) for _ in range(4)]
    await asyncio.gather(*(listener.task for listener in listeners))
    assert [listener.text for listener in listeners] == [LONG] * 4
    assert len(fake.asked) == 1
    assert sorted(x.headers["x-optimizer-cache"] for x in listeners) == ["hit"] * 3 + ["miss"]
    paid, *heard = await records(4)
    assert (paid.cost > 0, paid.cache_hit, paid.status) == (True, False, "ok")
    assert {(r.cost, r.cache_hit, r.savings) for r in heard} == {(0, True, paid.cost)}
    assert (await CachedResponse.objects.aget()).hit_count == 3


async def test_who_comes_late_hears_it_from_the_beginning(
    sdk: openai.AsyncOpenAI, fake: FakeProvider
) -> None:
    first = Listener(sdk)
    await first.hears(100)
    second = Listener(sdk)
    await asyncio.gather(first.task, second.task)
    assert first.text == second.text == LONG
    assert len(fake.asked) == 1


async def test_who_asked_first_may_leave(sdk: openai.AsyncOpenAI, fake: FakeProvider) -> None:
    first = Listener(sdk)
    await first.hears(50)
    second = Listener(sdk)
    await second.hears(100)
    await first.leave()
    await second.task
    assert second.text == LONG
    assert (len(fake.asked), fake.hung_up_on) == (1, 0)
    paid, heard = await records(2)
    assert (paid.status, paid.cost > 0) == ("ok", True)
    assert (heard.status, heard.cache_hit, heard.cost) == ("ok", True, 0)


async def test_even_before_the_first_word(sdk: openai.AsyncOpenAI, fake: FakeProvider) -> None:
    fake.gate = asyncio.Event()
    first, second = Listener(sdk), Listener(sdk)
    live = get_services().routing._streams._by_key
    await eventually(lambda: any(opening._waiting == 2 for opening in live.values()))
    await first.leave()
    fake.gate.set()
    await second.task
    assert second.text == LONG
    assert len(fake.asked) == 1


async def test_when_all_have_left_the_provider_is_let_go(
    sdk: openai.AsyncOpenAI, fake: FakeProvider
) -> None:
    first = Listener(sdk)
    await first.hears(50)
    second = Listener(sdk)
    await second.hears(50)
    await second.leave()
    await asyncio.sleep(0.1)
    assert fake.hung_up_on == 0
    await first.leave()
    cut, left = await records(2)
    assert (cut.status, cut.error_code) == ("partial", "client_disconnected")
    assert 0 < cut.tokens_out < len(LONG) / 4
    assert (left.status, left.error_code, left.cost) == ("error", "client_disconnected", 0)
    await eventually(lambda: fake.hung_up_on == 1)
    # The next one to ask is not given what was broken off.
    third = Listener(sdk)
    await third.task
    assert third.text == LONG
    assert len(fake.asked) == 2


async def test_a_break_is_told_to_all_and_paid_once(
    sdk: openai.AsyncOpenAI, fake: FakeProvider
) -> None:
    chunks = openai_stream(openai_completion("m", LONG))[:30]
    fake.always(Reply(chunks=chunks, pause=0.005, drop=True))
    listeners = [Listener(sdk) for _ in range(3)]
    ends = await asyncio.gather(*(x.task for x in listeners), return_exceptions=True)
    assert {type(end) for end in ends} == {openai.APIError}
    assert len(fake.asked) == 1
    cut, *heard = await records(3)
    assert (cut.status, cut.cost > 0) == ("partial", True)
    assert {(r.status, r.error_code, r.cost) for r in heard} == {("error", "connection_failed", 0)}
    assert not await CachedResponse.objects.aexists()


async def test_who_leaves_while_their_record_is_written_is_recorded_once(
    sdk: openai.AsyncOpenAI,
    fake: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = get_services().ledger
    record, written = ledger.record, asyncio.Event()

    async def slowly(entry: Any) -> Any:
        receipt = await record(entry)
        if entry.request.cache_hit:
            written.set()
            await asyncio.sleep(0.5)
        return receipt

    monkeypatch.setattr(ledger, "record", slowly)
    first, second = Listener(sdk), Listener(sdk)
    await written.wait()
    # Either may be the one that listens only.
    await asyncio.gather(first.leave(), second.leave())
    await asyncio.sleep(0.7)
    paid, heard = await records(2)
    assert (paid.status, heard.status, heard.cache_hit) == ("ok", "ok", True)
    assert "refused" not in caplog.text


async def test_a_slow_listener_slows_no_other(
    sdk: openai.AsyncOpenAI, fake: FakeProvider, served: str
) -> None:
    big = openai_stream(openai_completion("m", "x" * 100_000))
    fake.always(Reply(chunks=[b"".join(big[i : i + 50]) for i in range(0, len(big), 50)]))
    slow = await sdk.chat.completions.create(**QUESTION)
    quick = Listener(sdk)
    await quick.task
    assert len(quick.text) == 100_000
    assert len("".join([c.choices[0].delta.content or "" async for c in slow])) == 100_000
    assert len(fake.asked) == 1


@pytest.mark.parametrize(
    "change", [{"temperature": 1.5}, {"extra_headers": {"Cache-Control": "no-cache"}}]
)
async def test_who_wants_an_answer_of_their_own_gets_it(
    sdk: openai.AsyncOpenAI, fake: FakeProvider, change: dict[str, Any]
) -> None:
    listeners = [Listener(sdk, **change) for _ in range(2)]
    await asyncio.gather(*(listener.task for listener in listeners))
    assert len(fake.asked) == 2
    assert all(record.cost > 0 for record in await records(2))
