"""Two hundred calls at a time over pools of local servers: a member fails, and no request does."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing

import pytest

from providers.chat import Chat
from providers.events import TextDelta
from providers.http.transport import HttpClient
from providers.pools.member import Member
from providers.pools.pool import MemberPool
from providers.resilience import AllProvidersFailed, Attempt, ResilientCaller
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import ANSWER, as_asked, openai_completion, openai_error
from tests.providers.pools.building import MODEL, ask, caller_of, member, pool_of

CALLS = 200
WEIGHTS = {"a": 2.0, "b": 1.0, "c": 1.0}


class Key:
    """OpenAI's API for one key, which fails once ``failing`` says how."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failing: Reply | None = None

    def __call__(self, asked: Asked) -> Reply:
        assert asked.headers["authorization"] == f"Bearer key-of-{self.name}"
        if self.failing is not None:
            return self.failing
        return as_asked(asked, openai_completion(MODEL))


class Place:
    """A pool whose members each have a server of their own."""

    def __init__(
        self, keys: dict[str, Key], servers: dict[str, FakeProvider], pool: MemberPool
    ) -> None:
        self.keys, self.servers, self.pool = keys, servers, pool
        self.caller: ResilientCaller = caller_of(pool)

    def asked(self) -> Counter[str]:
        return Counter({name: len(server.asked) for name, server in self.servers.items()})


@pytest.fixture
async def place(http: HttpClient) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        keys = {name: Key(name) for name in WEIGHTS}
        servers = {n: await stack.enter_async_context(FakeProvider(k)) for n, k in keys.items()}
        members = [
            member(name, http, servers[name].url, weight=weight) for name, weight in WEIGHTS.items()
        ]
        yield Place(keys, servers, pool_of(*members, clock=time.monotonic))


async def all_answered(place: Place, calls: int = CALLS) -> tuple[Counter[str], list[Attempt]]:
    """Ask so many at once; return who answered, and what failed on the way."""
    attempts: list[Attempt] = []
    made = await asyncio.gather(
        *(ask(place.caller, Chat.of_prompt(f"prompt {n}"), attempts) for n in range(calls))
    )
    assert [one.text for one in made] == [ANSWER] * calls
    return Counter(one.member for one in made), attempts


async def test_weights_are_kept_under_load(place: Place) -> None:
    answered, attempts = await all_answered(place, 400)
    assert not attempts
    assert answered == {"a": 200, "b": 100, "c": 100}
    assert [state.busy for state in place.pool.states()] == [0, 0, 0]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_a_member_that_begins_to_fail_costs_no_request(place: Place, status: int) -> None:
    await all_answered(place)
    place.keys["a"].failing = openai_error(status)
    began = time.monotonic()
    answered, attempts = await all_answered(place)
    assert answered["a"] == 0
    assert {attempt.member for attempt in attempts} == {"a"}
    assert place.pool.spared_for(place.pool.members[0], MODEL) > 0
    # From now on it is spared: but for a probe a second at most, nobody goes to it in vain.
    answered, attempts = await all_answered(place)
    assert answered["a"] == 0
    probes = int(time.monotonic() - began)
    assert len(attempts) <= (3 if status >= 500 else 0) + probes
    assert answered["b"] == pytest.approx(CALLS / 2, abs=2)


async def test_a_server_that_is_killed_under_way_costs_no_request(place: Place) -> None:
    place.servers["a"].gate = asyncio.Event()  # which is never set: all of its calls are under way
    calls = asyncio.create_task(all_answered(place))
    while len(place.servers["a"].asked) < CALLS / 2:
        await asyncio.sleep(0.005)
    await place.servers["a"].__aexit__()
    answered, attempts = await calls
    assert answered["a"] == 0
    assert len(attempts) >= CALLS / 2
    assert {attempt.error for attempt in attempts} == {"connection_failed"}
    answered, attempts = await all_answered(place)
    assert answered["a"] == 0
    assert len(attempts) <= 3


async def test_streams_fall_back_to_another_member_until_their_first_content(
    place: Place,
) -> None:
    place.keys["a"].failing = openai_error(500)

    async def one(number: int) -> tuple[str, str]:
        opened = await place.caller.open_stream(
            [("openai", MODEL)], Chat.of_prompt(f"prompt {number}"), []
        )
        async with aclosing(opened.events) as events:
            text = "".join([e.text async for e in events if isinstance(e, TextDelta)])
        return opened.member, text

    made = await asyncio.gather(*map(one, range(CALLS)))
    assert {text for _, text in made} == {ANSWER}
    assert {name for name, _ in made} == {"b", "c"}
    assert [state.busy for state in place.pool.states()] == [0, 0, 0]


async def test_if_all_are_limited_the_client_waits_for_the_first(place: Place) -> None:
    for name, seconds in (("a", "40"), ("b", "12"), ("c", "30")):
        reply = openai_error(429, "rate_limit_exceeded")
        place.keys[name].failing = Reply(reply.body, 429, {"retry-after": seconds})
    with pytest.raises(AllProvidersFailed) as raised:
        await ask(place.caller, Chat.of_prompt("Hello"))
    assert [attempt.member for attempt in raised.value.attempts] == ["a", "b", "c"]
    assert raised.value.attempts[-1].retry_after == pytest.approx(12, abs=1)


async def test_an_error_of_the_request_is_no_member_s(place: Place) -> None:
    for key in place.keys.values():
        key.failing = openai_error(400, "invalid")
    with pytest.raises(AllProvidersFailed) as raised:
        await ask(place.caller, Chat.of_prompt("Hello"))
    assert len(raised.value.attempts) == 1
    assert not any(state.spared for state in place.pool.states())


async def test_what_headers_say_is_known_for_whole_answers_streams_and_errors(
    place: Place,
) -> None:
    said = {"x-ratelimit-remaining-requests": "50", "x-ratelimit-limit-requests": "100"}
    for server in place.servers.values():
        server.always(Reply(openai_completion(MODEL), 200, said))
    await all_answered(place, 4)
    left = {state.name: state.left for state in place.pool.states()}
    assert left == {"a": 0.5, "b": 0.5, "c": 0.5}
    only: list[Member] = list(place.pool.members)
    limited = Reply(openai_error(429).body, 429, {**said, "x-ratelimit-remaining-requests": "0"})
    place.servers["a"].always(limited)
    await all_answered(place, 4)
    assert place.pool.states()[0].left == 0
    assert only[0].answered


async def test_committed_capacity_costs_nothing_more(http: HttpClient) -> None:
    async with FakeProvider(Key("a")) as server:
        pool = pool_of(member("a", http, server.url, committed=True, regions=["eu"]))
        caller = caller_of(pool)
        completion = await ask(caller, Chat.of_prompt("Hello"))
        assert completion.usage.service_tier == "provisioned"
        opened = await caller.open_stream([("openai", MODEL)], Chat.of_prompt("Hello"), [])
        async with aclosing(opened.events) as events:
            usages = [event.usage async for event in events if hasattr(event, "usage")]
        assert usages[-1].service_tier == "provisioned"


async def test_a_stream_that_nobody_reads_ends_its_call(place: Place) -> None:
    opened = await place.caller.open_stream([("openai", MODEL)], Chat.of_prompt("Hello"), [])
    assert sum(state.busy for state in place.pool.states()) == 1
    await opened.events.aclose()
    assert sum(state.busy for state in place.pool.states()) == 0
