"""A pool whose members have as many calls as they may: it waits, goes on to another, or refuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from providers.chat import Chat
from providers.http.transport import HttpClient
from providers.openai.client import OpenAIProvider
from providers.resilience import AllProvidersFailed, Attempt, ResiliencePolicy, ResilientCaller
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import ANSWER, as_asked, openai_completion, openai_error
from tests.patience import eventually
from tests.providers.pools.building import MODEL, ask, member, pool_of

PROMPT = Chat.of_prompt("Hello")


def answer(asked: Asked) -> Reply:
    return as_asked(asked, openai_completion(MODEL))


@pytest.fixture
async def server() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(answer) as fake:
        yield fake


def caller_with(
    http: HttpClient, server: FakeProvider, *, wait: float = 10.0, **others: OpenAIProvider
) -> ResilientCaller:
    one = member("a", http, server.url, most_at_once=2)
    pool = pool_of(one, clock=time.monotonic)
    return ResilientCaller(
        {"openai": one.client, **others},
        ResiliencePolicy(place_wait=wait),
        pools={"openai": pool},
    )


def busy(caller: ResilientCaller) -> int:
    return sum(state.busy for state in caller.pools["openai"].states())


async def test_calls_wait_for_a_place_and_come_in_their_order(
    http: HttpClient, server: FakeProvider
) -> None:
    caller = caller_with(http, server)
    server.gate = asyncio.Event()
    calls = [asyncio.ensure_future(ask(caller, Chat.of_prompt(f"n{n}"))) for n in range(12)]

    async def full() -> bool:
        return len(server.asked) == 2

    await eventually(full)
    await asyncio.sleep(0.1)
    assert (len(server.asked), busy(caller)) == (2, 2)
    server.gate.set()
    assert [made.text for made in await asyncio.gather(*calls)] == [ANSWER] * 12
    asked = [one.body["messages"][0]["content"] for one in server.asked]
    assert sorted(asked[:4]) == ["n0", "n1", "n2", "n3"]
    assert busy(caller) == 0


async def test_who_waits_too_long_is_told_to_come_again(
    http: HttpClient, server: FakeProvider
) -> None:
    caller = caller_with(http, server, wait=0.1)
    server.gate = asyncio.Event()
    running = [asyncio.ensure_future(ask(caller, PROMPT)) for _ in range(2)]

    async def full() -> bool:
        return len(server.asked) == 2

    await eventually(full)
    attempts: list[Attempt] = []
    with pytest.raises(AllProvidersFailed):
        await ask(caller, PROMPT, attempts)
    assert [(one.error, one.retry_after, one.usage) for one in attempts] == [
        ("rate_limited", 1.0, None)
    ]
    server.gate.set()
    await asyncio.gather(*running)
    assert (len(server.asked), busy(caller)) == (2, 0)


async def test_another_model_is_called_at_once(http: HttpClient, server: FakeProvider) -> None:
    async with FakeProvider(answer) as other:
        groq = OpenAIProvider("groq", http, other.url, "key")
        caller = caller_with(http, server, groq=groq)
        server.gate = asyncio.Event()
        running = [asyncio.ensure_future(ask(caller, PROMPT)) for _ in range(2)]

        async def full() -> bool:
            return len(server.asked) == 2

        await eventually(full)
        began = time.monotonic()
        made = await caller.call([("openai", MODEL), ("groq", MODEL)], PROMPT, [])
        assert made.provider == "groq"
        assert time.monotonic() - began < 2
        server.gate.set()
        await asyncio.gather(*running)


async def test_other_models_of_the_same_members_are_not_waited_for_again(
    http: HttpClient, server: FakeProvider
) -> None:
    caller = caller_with(http, server, wait=0.3)
    server.gate = asyncio.Event()
    running = [asyncio.ensure_future(ask(caller, PROMPT)) for _ in range(2)]

    async def full() -> bool:
        return len(server.asked) == 2

    await eventually(full)
    chain = [("openai", name) for name in ("first", "second", "third", "fourth")]
    began = time.monotonic()
    with pytest.raises(AllProvidersFailed) as raised:
        await caller.call(chain, PROMPT, [])
    assert 0.25 < time.monotonic() - began < 1
    assert [one.model for one in raised.value.attempts] == [name for _, name in chain]
    waiting = asyncio.ensure_future(caller.call(chain, PROMPT, []))
    await asyncio.sleep(0.05)
    server.gate.set()
    assert (await waiting).model == "first"
    await asyncio.gather(*running)


async def test_a_client_that_leaves_while_it_waits_takes_no_place(
    http: HttpClient, server: FakeProvider
) -> None:
    caller = caller_with(http, server)
    server.gate = asyncio.Event()
    running = [asyncio.ensure_future(ask(caller, PROMPT)) for _ in range(2)]

    async def full() -> bool:
        return len(server.asked) == 2

    await eventually(full)
    waiting = asyncio.ensure_future(ask(caller, PROMPT))
    await asyncio.sleep(0.05)
    waiting.cancel()
    server.gate.set()
    await asyncio.gather(*running, waiting, return_exceptions=True)
    assert (len(server.asked), busy(caller)) == (2, 0)
    assert (await ask(caller, PROMPT)).text == ANSWER


async def test_a_call_that_may_not_be_made_gives_its_place_back(
    http: HttpClient, server: FakeProvider
) -> None:
    caller = caller_with(http, server)

    async def refuse(*_: object) -> None:
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await caller.call([("openai", MODEL)], PROMPT, [], refuse)
    assert busy(caller) == 0
    assert not server.asked


async def test_a_member_that_fails_leaves_its_place_to_who_waits(
    http: HttpClient, server: FakeProvider
) -> None:
    caller = caller_with(http, server)
    server.always(openai_error(400, "invalid"))
    made = await asyncio.gather(*(ask(caller, PROMPT) for _ in range(6)), return_exceptions=True)
    assert len(server.asked) == 6
    assert {type(one) for one in made} == {AllProvidersFailed}
    assert busy(caller) == 0
