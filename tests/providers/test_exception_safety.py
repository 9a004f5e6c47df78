"""Whatever a client raises, at any step, a request ends in an answer or a typed error."""

from __future__ import annotations

import asyncio
import builtins
import logging
from collections.abc import AsyncGenerator, Awaitable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers import errors
from providers.chat import Chat, Text
from providers.completion import Choice, Completion, CompletionRequest, Usage
from providers.errors import ProviderError
from providers.events import Event, Finished, Started, TextDelta, UsageReported
from providers.resilience import AllProvidersFailed, Attempt, ResiliencePolicy, ResilientCaller

SECRET = "a secret of the prompt"


class Odd(Exception):
    """An error with arguments that its text cannot be made from."""

    def __str__(self) -> str:
        raise ValueError("no text")


def _builtin_errors() -> list[type[Exception]]:
    kinds = [kind for kind in vars(builtins).values() if isinstance(kind, type)]
    # A group and Unicode errors need arguments of their own; StopIteration is not for coroutines.
    return [
        kind
        for kind in kinds
        if issubclass(kind, Exception)
        and not issubclass(kind, (UnicodeError, ExceptionGroup, StopIteration))
    ]


TYPED = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ProviderError)
]
RAISED = st.one_of(
    st.sampled_from([*_builtin_errors(), Odd]).map(lambda kind: kind(SECRET)),
    st.just(ExceptionGroup(SECRET, [ValueError(SECRET)])),
    st.sampled_from(TYPED).flatmap(
        lambda kind: st.sampled_from([None, 0.0, 60.0, 3600.0]).map(
            lambda wait: kind("a", "failed", retry_after=wait)
        )
    ),
)
STEPS = st.sampled_from(["calling", "reading", "started", "usage", "text", "end", "closing", ""])


class Fragile:
    """Raises ``error`` at ``step``; without a step it answers."""

    wire, features = "openai", frozenset[str]()

    def __init__(self, name: str, step: str, error: Exception) -> None:
        self.name, self.step, self.error = name, step, error
        self.calls = self.open = 0

    def _at(self, step: str) -> None:
        if step == self.step:
            raise self.error

    def complete(self, request: CompletionRequest) -> Awaitable[Completion]:
        self.calls += 1
        self._at("calling")
        return self._complete(request)

    async def _complete(self, request: CompletionRequest) -> Completion:
        await asyncio.sleep(0)
        if self.step:
            raise self.error
        return Completion(self.name, request.model, (Choice((Text("text"),), "stop"),), Usage(1, 1))

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        self.calls += 1
        self._at("calling")
        return self._stream()

    async def _stream(self) -> AsyncGenerator[Event, None]:
        self.open += 1
        try:
            self._at("reading")
            yield Started()
            self._at("started")
            yield UsageReported(Usage(10, 1))
            self._at("usage")
            yield TextDelta("text")
            self._at("text")
            yield Finished("stop")
            self._at("end")
        finally:
            self.open -= 1
            self._at("closing")

    async def aclose(self) -> None: ...


CLIENTS = st.lists(st.tuples(STEPS, RAISED), min_size=1, max_size=5)


def resilient(clients: list[Fragile]) -> ResilientCaller:
    made = ResilientCaller(
        {client.name: client for client in clients},  # type: ignore[misc]
        ResiliencePolicy(retries=0, breaker_failures=1, breaker_seconds=60),
    )
    for client in clients:
        # Every call is a probe, so that a probe that is never ended would show.
        made.circuits._circuit(client.name).open_until = 0.0
    return made


def clients_of(steps: list[tuple[str, Exception]]) -> list[Fragile]:
    return [Fragile(f"p{number}", *how) for number, how in enumerate(steps)]


def check(made: ResilientCaller, clients: list[Fragile], attempts: list[Attempt]) -> None:
    """Each failed call is listed once, and nothing stays taken."""
    listed = [attempt.provider for attempt in attempts]
    assert len(listed) == len(set(listed)), "an attempt is listed twice"
    assert all(client.calls <= 1 for client in clients)
    assert sum(client.calls for client in clients) <= made.policy.max_calls
    assert not any(client.open for client in clients), "a stream stays open"
    assert not any(circuit.probes for circuit in made.circuits._circuits.values())
    assert all(SECRET not in attempt.message + attempt.words for attempt in attempts)
    codes = {kind.code for kind in TYPED}
    assert {attempt.error for attempt in attempts} <= codes


@given(CLIENTS)
@settings(max_examples=150, deadline=None)
async def test_a_whole_answer(steps: list[tuple[str, Exception]]) -> None:
    clients = clients_of(steps)
    made, attempts = resilient(clients), list[Attempt]()
    failed = [client for client in clients if client.step]
    try:
        answer = await made.call(chain(clients), Chat.of_prompt("p"), attempts)
    except AllProvidersFailed as error:
        failures: object = error.attempts
        assert failures == tuple(attempts)
        assert sum(client.calls for client in clients) == len(attempts)
    else:
        assert answer.text == "text"
        assert len(attempts) == sum(client.calls for client in failed)
    check(made, clients, attempts)


@given(CLIENTS)
@settings(max_examples=200, deadline=None)
async def test_a_stream(steps: list[tuple[str, Exception]]) -> None:
    clients = clients_of(steps)
    made, attempts = resilient(clients), list[Attempt]()
    try:
        stream = await made.open_stream(chain(clients), Chat.of_prompt("p"), attempts)
    except AllProvidersFailed as error:
        failures: object = error.attempts
        assert failures == tuple(attempts)
    else:
        by_name = {client.name: client for client in clients}
        served = by_name[stream.provider]
        assert stream.attempts == tuple(attempts)
        events: list[Event] = []
        try:
            async for event in stream.events:
                events.append(event)
        except ProviderError:
            assert served.step in {"text", "end", "closing"}
        else:
            assert served.step not in {"text", "end"}
        assert TextDelta("text") in events
    check(made, clients, attempts)


def chain(clients: list[Fragile]) -> list[tuple[str, str]]:
    return [(client.name, "model") for client in clients]


async def test_an_error_of_ours_is_logged_by_type_and_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clients = clients_of([("reading", ValueError(SECRET)), ("", Odd())])
    made, attempts = resilient(clients), list[Attempt]()
    with caplog.at_level(logging.ERROR):
        answer = await made.call(chain(clients), Chat.of_prompt("p"), attempts)
    assert answer.provider == "p1"
    (attempt,) = attempts
    assert (attempt.error, attempt.provider) == ("internal_error", "p0")
    assert attempt.usage is not None
    assert attempt.usage.estimated
    assert "p0" in caplog.text
    assert "ValueError at tests.providers.test_exception_safety" in caplog.text
    assert SECRET not in caplog.text


async def test_a_stream_that_is_left_ends_its_call() -> None:
    clients: list[Any] = clients_of([("", Odd())])
    made = resilient(clients)
    stream = await made.open_stream(chain(clients), Chat.of_prompt("p"), [])
    assert clients[0].open == 1
    await anext(stream.events)
    await stream.events.aclose()
    assert clients[0].open == 0
