"""Several API keys of one provider: a limited or refused key costs no request."""

from __future__ import annotations

from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.catalogue import ProviderSpec
from providers.chat import Chat
from providers.completion import CompletionRequest
from providers.errors import (
    AuthenticationFailed,
    ProviderError,
    RateLimited,
    RequestRejected,
)
from providers.events import TextDelta
from providers.http.key_pool import KeyPool
from providers.http.transport import HttpClient
from providers.openai.client import OpenAIProvider
from providers.registry import configured_keys
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import ANSWER, as_asked, openai_completion, openai_error

KEYS = ("first-key-of-three", "second-key-of-three", "third-key-of-three")
REQUEST = CompletionRequest("m", Chat.of_prompt("Hello"))


class Account:
    """OpenAI's API, which treats each key as it is told."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.used: list[str] = []

    def __call__(self, asked: Asked) -> Reply:
        key = asked.headers["authorization"].removeprefix("Bearer ")
        self.used.append(key)
        return self.replies.get(key) or as_asked(asked, openai_completion("m"))


def limited(seconds: str) -> Reply:
    reply = openai_error(429, "rate_limit_exceeded")
    return Reply(reply.body, 429, {"retry-after": seconds})


def pooled(fake: FakeProvider, http: HttpClient) -> tuple[OpenAIProvider, list[float]]:
    """A provider with three keys, and the clock of its pool."""
    now = [100.0]
    provider = OpenAIProvider("openai", http, fake.url, KEYS[0])
    provider.keys = KeyPool("openai", KEYS, lambda: now[0])
    return provider, now


async def text_of(provider: OpenAIProvider, stream: bool) -> str:
    if not stream:
        return (await provider.complete(REQUEST)).text
    async with aclosing(provider.stream(REQUEST)) as events:
        return "".join([e.text async for e in events if isinstance(e, TextDelta)])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_limited_key_is_spared_for_as_long_as_it_was_told(
    stream: bool, http: HttpClient
) -> None:
    account = Account()
    account.replies[KEYS[0]] = limited("20")
    async with FakeProvider(account) as fake:
        provider, now = pooled(fake, http)
        assert await text_of(provider, stream) == ANSWER
        assert await text_of(provider, stream) == ANSWER
        assert account.used == [KEYS[0], KEYS[1], KEYS[1]]
        account.replies.clear()
        now[0] += 21
        assert await text_of(provider, stream) == ANSWER
        assert account.used[-1] == KEYS[0]


@pytest.mark.parametrize(
    "reply",
    [
        openai_error(401, "invalid_api_key"),
        openai_error(403, "model_not_allowed"),
        openai_error(429, "insufficient_quota"),
    ],
)
async def test_a_refused_key_gives_way_to_the_next(reply: Reply, http: HttpClient) -> None:
    account = Account()
    account.replies = {KEYS[0]: reply, KEYS[1]: reply}
    async with FakeProvider(account) as fake:
        provider, _ = pooled(fake, http)
        assert await text_of(provider, False) == ANSWER
        assert await text_of(provider, False) == ANSWER
    assert account.used == [*KEYS, KEYS[2]]
    assert provider.keys is not None
    assert set(provider.keys.spared()) == {0, 1}


async def test_if_all_are_limited_the_shortest_wait_is_the_client_s(http: HttpClient) -> None:
    account = Account()
    account.replies = {KEYS[0]: limited("40"), KEYS[1]: limited("10"), KEYS[2]: limited("30")}
    async with FakeProvider(account) as fake:
        provider, _ = pooled(fake, http)
        with pytest.raises(RateLimited) as raised:
            await provider.complete(REQUEST)
        assert raised.value.retry_after == 10
        # The one that may be used first is asked, and no other.
        with pytest.raises(RateLimited):
            await provider.complete(REQUEST)
    assert account.used == [*KEYS, KEYS[1]]


async def test_an_error_of_the_request_is_no_key_s(http: HttpClient) -> None:
    account = Account()
    account.replies = {KEYS[0]: openai_error(400, "invalid")}
    async with FakeProvider(account) as fake:
        provider, _ = pooled(fake, http)
        with pytest.raises(RequestRejected):
            await provider.complete(REQUEST)
    assert account.used == [KEYS[0]]


@pytest.mark.parametrize("named", KEYS)
async def test_no_key_reaches_a_client(named: str, http: HttpClient) -> None:
    body = {"error": {"message": f"Incorrect API key provided: {named}", "code": "x"}}
    async with FakeProvider(lambda asked: Reply(body, 401)) as fake:
        provider, _ = pooled(fake, http)
        with pytest.raises(AuthenticationFailed) as raised:
            await provider.complete(REQUEST)
    assert raised.value.words == ""
    assert raised.value.body is None
    assert not any(key in repr(provider.keys) for key in KEYS)


async def test_what_another_worker_learned_counts_here(http: HttpClient) -> None:
    account = Account()
    changes: list[tuple[int, float]] = []
    async with FakeProvider(account) as fake:
        provider, _ = pooled(fake, http)
        assert provider.keys is not None
        provider.keys.on_change = lambda number, seconds: changes.append((number, seconds))
        provider.keys.spare(0, 30)
        assert await text_of(provider, False) == ANSWER
        account.replies[KEYS[1]] = limited("5")
        assert await text_of(provider, False) == ANSWER
    assert account.used == [KEYS[1], KEYS[1], KEYS[2]]
    # Only what was learned here is told to others.
    assert changes == [(1, 5.0)]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", ()),
        ("a", ("a",)),
        ("a,b", ("a", "b")),
        (" a , b,, a", ("a", "b")),
    ],
)
def test_keys_are_separated_by_commas(text: str, keys: tuple[str, ...]) -> None:
    spec = ProviderSpec("x", "openai", key_env=("X_API_KEY",))
    assert configured_keys(spec, {"X_API_KEY": text}) == keys


@given(st.lists(st.sampled_from(["ok", "limited", "refused", "bad"]), min_size=2, max_size=6))
async def test_each_key_is_tried_once_at_most_and_a_usable_one_answers(fates: list[str]) -> None:
    pool = KeyPool("p", [f"key-{n}" for n in range(len(fates))], lambda: 0.0)
    tried: list[int] = []

    async def call(key: str) -> str:
        number = int(key.removeprefix("key-"))
        tried.append(number)
        fate = fates[number]
        if fate == "ok":
            return key
        kinds = {"limited": RateLimited, "refused": AuthenticationFailed, "bad": RequestRejected}
        raise kinds[fate]("p", "as told", retry_after=9.0)

    first_end = next((n for n, fate in enumerate(fates[:4]) if fate in ("ok", "bad")), None)
    if first_end is not None and fates[first_end] == "ok":
        assert await pool.first(call) == f"key-{first_end}"
    else:
        with pytest.raises(ProviderError):
            await pool.first(call)
    assert tried == list(range(len(tried)))
    assert len(tried) == (min(len(fates), 4) if first_end is None else first_end + 1)
