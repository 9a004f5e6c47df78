"""Retries, circuits and the fallback chain."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import count

import pytest
import stamina

from providers.chat import Chat, Text
from providers.completion import Choice, Completion, CompletionRequest, Usage
from providers.errors import (
    AuthenticationFailed,
    CallNotAuthorized,
    ConnectionFailed,
    ConnectionLost,
    EmptyCompletion,
    MalformedResponse,
    ModelNotFound,
    Overloaded,
    ProviderError,
    ProviderTimeout,
    RateLimited,
    RequestRejected,
    error_for_status,
)
from providers.events import Event, Started, TextDelta, UsageReported
from providers.resilience import AllProvidersFailed, Attempt, ResiliencePolicy, ResilientCaller

OK = "ok"
# Each request has a prompt of its own: one that is repeated counts once against a circuit.
PROMPTS = count()


class Scripted:
    """Answers or fails as told; the last instruction repeats."""

    def __init__(self, name: str, *script: str | ProviderError | float) -> None:
        self.name, self.calls = name, 0
        self._script = deque(script)

    async def complete(self, request: CompletionRequest) -> Completion:
        self.calls += 1
        step = self._script.popleft() if len(self._script) > 1 else self._script[0]
        if isinstance(step, ProviderError):
            raise step
        if isinstance(step, float):
            await asyncio.sleep(step)
        return Completion(self.name, request.model, (Choice((Text("text"),), "stop"),), Usage(1, 1))

    async def aclose(self) -> None: ...


def caller(*providers: Scripted, **policy: object) -> ResilientCaller:
    return ResilientCaller({p.name: p for p in providers}, ResiliencePolicy(**policy))


@dataclass
class Answered:
    completion: Completion
    attempts: tuple[Attempt, ...]


async def call(caller: ResilientCaller, *chain: str) -> Answered:
    attempts: list[Attempt] = []
    models = [(name, f"{name}-model") for name in chain]
    completion = await caller.call(models, Chat.of_prompt(f"prompt {next(PROMPTS)}", 5), attempts)
    return Answered(completion, tuple(attempts))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch):
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


async def test_the_first_that_answers_is_enough() -> None:
    a, b = Scripted("a", OK), Scripted("b", OK)
    outcome = await call(caller(a, b), "a", "b")
    assert (outcome.completion.provider, outcome.attempts, b.calls) == ("a", (), 0)


async def test_what_may_pass_is_tried_again_on_the_same_model() -> None:
    a = Scripted("a", Overloaded("a", "busy"), OK)
    outcome = await call(caller(a), "a")
    assert a.calls == 2
    assert [x.error for x in outcome.attempts] == ["overloaded"]


async def test_what_cannot_pass_goes_to_the_next_model_at_once() -> None:
    a, b = Scripted("a", AuthenticationFailed("a", "no")), Scripted("b", OK)
    outcome = await call(caller(a, b), "a", "b")
    assert (a.calls, outcome.completion.provider) == (1, "b")
    assert [x.error for x in outcome.attempts] == ["authentication_failed"]


async def test_a_long_retry_after_is_not_waited_for() -> None:
    a, b = Scripted("a", RateLimited("a", "later", retry_after=60)), Scripted("b", OK)
    await call(caller(a, b), "a", "b")
    assert a.calls == 1


async def test_when_all_fail_every_attempt_is_told() -> None:
    a, b = Scripted("a", Overloaded("a", "busy")), Scripted("b", AuthenticationFailed("b", "no"))
    with pytest.raises(AllProvidersFailed) as caught:
        await call(caller(a, b), "a", "b")
    assert [x.error for x in caught.value.attempts] == [
        "overloaded",
        "overloaded",
        "authentication_failed",
    ]
    assert not caught.value.deadline_passed


async def test_a_circuit_opens_is_skipped_and_closes_after_a_probe() -> None:
    a, b = Scripted("a", *[Overloaded("a", "busy")] * 2, OK), Scripted("b", OK)
    resilient = caller(a, b, retries=0, breaker_failures=2, breaker_seconds=0.2)
    await call(resilient, "a", "b")
    assert resilient.circuit_state("a") == "closed"
    await call(resilient, "a", "b")
    assert resilient.circuit_state("a") == "open"
    skipped = await call(resilient, "a", "b")
    assert (a.calls, skipped.attempts[0].error) == (2, "circuit_open")
    while resilient.circuit_state("a") == "open":
        await asyncio.sleep(0.02)
    assert resilient.circuit_state("a") == "half_open"
    assert (await call(resilient, "a", "b")).completion.provider == "a"
    assert resilient.circuit_state("a") == "closed"


async def test_a_refused_key_opens_its_own_circuit_and_not_the_provider_s() -> None:
    a, b = Scripted("a", AuthenticationFailed("a", "no")), Scripted("b", OK)
    resilient = caller(a, b, breaker_failures=2)
    for _ in range(4):
        await call(resilient, "a", "b")
    assert a.calls == 2
    assert resilient.circuit_state("a") == "open"
    assert resilient.circuits.state("a") == "closed"


async def test_the_deadline_bounds_all_models_together() -> None:
    a, b = Scripted("a", 5.0), Scripted("b", OK)
    with pytest.raises(AllProvidersFailed) as caught:
        await call(caller(a, b, deadline=0.05), "a", "b")
    assert caught.value.deadline_passed
    assert caught.value.attempts[-1].provider == "a"


async def test_cancellation_passes_through() -> None:
    task = asyncio.create_task(call(caller(Scripted("a", 5.0)), "a"))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "error",
    [
        ProviderTimeout("a", "silent"),
        ConnectionLost("a", "cut"),
        MalformedResponse("a", "junk"),
        error_for_status("a", 504),
        error_for_status("a", 524),
    ],
)
async def test_what_may_be_charged_goes_to_the_next_model_and_is_estimated(
    error: ProviderError,
) -> None:
    a, b = Scripted("a", error), Scripted("b", OK)
    outcome = await call(caller(a, b), "a", "b")
    assert (a.calls, outcome.completion.provider) == (1, "b")
    usage = outcome.attempts[0].usage
    assert usage is not None
    assert usage.estimated
    assert usage.input_tokens > 0
    # Nobody has seen the answer: it may have all the tokens that the request allows.
    assert usage.output_tokens == 5


async def test_usage_that_is_known_is_not_estimated() -> None:
    a = Scripted("a", EmptyCompletion("a", "no text", usage=Usage(7, 3)))
    with pytest.raises(AllProvidersFailed) as caught:
        await call(caller(a), "a")
    assert [x.usage for x in caught.value.attempts] == [Usage(7, 3)]


@pytest.mark.parametrize("error", [ConnectionFailed("a", "refused"), Overloaded("a", "busy")])
async def test_what_was_not_accepted_is_repeated_once_at_no_cost(error: ProviderError) -> None:
    a = Scripted("a", error)
    with pytest.raises(AllProvidersFailed) as caught:
        await call(caller(a), "a")
    assert [x.usage for x in caught.value.attempts] == [None, None]


async def test_the_deadline_is_a_time_out_that_may_be_charged() -> None:
    resilient = caller(Scripted("a", 5.0), deadline=0.05)
    with pytest.raises(AllProvidersFailed) as caught:
        await call(resilient, "a")
    (attempt,) = caught.value.attempts
    assert attempt.error == "timeout"
    assert attempt.usage is not None
    assert attempt.usage.estimated


@pytest.mark.parametrize("most", [1, 3, 4])
async def test_a_request_makes_a_bounded_number_of_calls(most: int) -> None:
    providers = [Scripted(name, Overloaded(name, "busy")) for name in "abcdefgh"]
    with pytest.raises(AllProvidersFailed):
        await call(caller(*providers, max_calls=most), *"abcdefgh")
    assert [p.calls for p in providers] == [1] * most + [0] * (8 - most)


async def test_a_call_is_left_for_each_other_provider_before_a_model_is_repeated() -> None:
    providers = [Scripted(name, Overloaded(name, "busy")) for name in "abc"]
    with pytest.raises(AllProvidersFailed):
        await call(caller(*providers), *"abc")
    assert [p.calls for p in providers] == [2, 1, 1]


async def models_called(resilient: ResilientCaller, *chain: tuple[str, str]) -> list[str]:
    attempts: list[Attempt] = []
    try:
        answer = await resilient.call(chain, Chat.of_prompt(f"p {next(PROMPTS)}", 5), attempts)
    except AllProvidersFailed:
        return [a.model for a in attempts]
    return [*(a.model for a in attempts), answer.model]


async def test_after_a_failure_of_a_provider_the_next_one_is_another() -> None:
    a, b = Scripted("a", AuthenticationFailed("a", "no")), Scripted("b", OK)
    chain = (("a", "one"), ("a", "two"), ("b", "three"))
    assert await models_called(caller(a, b), *chain) == ["one", "three"]


async def test_a_model_that_is_not_known_says_nothing_of_the_providers_others() -> None:
    a, b = Scripted("a", ModelNotFound("a", "no"), OK), Scripted("b", OK)
    chain = (("a", "one"), ("a", "two"), ("b", "three"))
    assert await models_called(caller(a, b), *chain) == ["one", "two"]


async def test_a_request_that_two_providers_reject_is_not_sent_to_a_third() -> None:
    providers = [Scripted(name, RequestRejected(name, "no")) for name in "abc"]
    with pytest.raises(AllProvidersFailed) as caught:
        await call(caller(*providers), *"abc")
    assert [p.calls for p in providers] == [1, 1, 0]
    assert len(caught.value.attempts) == 2


async def test_one_prompt_that_all_refuse_opens_no_circuit() -> None:
    a, b = Scripted("a", Overloaded("a", "busy")), Scripted("b", Overloaded("b", "busy"))
    resilient = caller(a, b, breaker_failures=1)
    for _ in range(3):
        with pytest.raises(AllProvidersFailed):
            await call(resilient, "a", "b")
    assert (resilient.circuit_state("a"), resilient.circuit_state("b")) == ("closed", "closed")


async def test_a_rate_limit_spares_the_model_and_leaves_the_provider_alone() -> None:
    a, b = Scripted("a", RateLimited("a", "later", retry_after=17), OK), Scripted("b", OK)
    resilient = caller(a, b, breaker_failures=1)
    await models_called(resilient, ("a", "one"), ("b", "three"))
    assert resilient.circuit_state("a") == "closed"
    assert resilient.cooldowns.remaining("a", "one") == pytest.approx(17, abs=1)
    assert resilient.cooldowns.remaining("a", "two") == 0
    # A fallback that is limited comes after those that are not.
    b._script = deque([ModelNotFound("b", "no"), OK])
    chain = (("b", "three"), ("a", "one"), ("b", "four"))
    assert await models_called(resilient, *chain) == ["three", "four"]
    # A model that answers is limited no more.
    assert await models_called(resilient, ("a", "one")) == ["one"]
    assert resilient.cooldowns.all() == {}


async def test_a_long_wait_that_is_known_is_told_without_a_call() -> None:
    a = Scripted("a", RateLimited("a", "later", retry_after=3600))
    resilient = caller(a)
    for _ in range(2):
        with pytest.raises(AllProvidersFailed) as caught:
            await call(resilient, "a")
    assert a.calls == 1
    (attempt,) = caught.value.attempts
    assert attempt.error == "rate_limited"
    assert attempt.retry_after == pytest.approx(3600, abs=2)


async def test_a_prompt_that_all_answer_with_429_and_no_wait_limits_nothing() -> None:
    a, b = Scripted("a", RateLimited("a", "no")), Scripted("b", RateLimited("b", "no"))
    resilient = caller(a, b)
    with pytest.raises(AllProvidersFailed):
        await call(resilient, "a", "b")
    assert (a.calls, b.calls, resilient.cooldowns.all()) == (1, 1, {})


async def test_a_fallback_that_cannot_be_authorized_loses_no_attempt() -> None:
    async def authorize(provider: str, model: str, attempts: object) -> None:
        if provider == "b":
            raise RuntimeError("the database is away")

    a, b = Scripted("a", ProviderTimeout("a", "silent")), Scripted("b", OK)
    attempts: list[Attempt] = []
    chain = [("a", "one"), ("b", "two")]
    with pytest.raises(AllProvidersFailed):
        await caller(a, b).call(chain, Chat.of_prompt("p"), attempts, authorize)
    assert [x.error for x in attempts] == ["timeout", CallNotAuthorized.code]
    with pytest.raises(RuntimeError):
        await caller(a, b).call(chain[1:], Chat.of_prompt("p"), [], authorize)


class Streaming(Scripted):
    """Streams the events of its script, and raises the errors in it."""

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        self.calls += 1
        for step in self._script:
            if isinstance(step, Exception):
                raise step
            yield step


@pytest.mark.parametrize(
    ("before", "usage"),
    [([Started()], None), ([Started(), UsageReported(Usage(1000, 1))], Usage(1000, 1))],
)
async def test_a_stream_that_breaks_before_its_content_may_be_charged_and_is_not_repeated(
    before: list[Event], usage: Usage | None
) -> None:
    a = Streaming("a", *before, Overloaded("a", "busy"))
    b = Streaming("b", Started(), TextDelta("hello"))
    attempts: list[Attempt] = []
    chain = [("a", "one"), ("b", "two")]
    stream = await caller(a, b).open_stream(chain, Chat.of_prompt("p"), attempts)
    assert (stream.provider, a.calls) == ("b", 1)
    used = attempts[0].usage
    assert used is not None
    assert used == usage if usage else used.estimated
    assert [event async for event in stream.events] == [Started(), TextDelta("hello")]


async def test_a_stream_that_is_refused_before_it_begins_is_repeated_and_free() -> None:
    a = Streaming("a", Overloaded("a", "busy"))
    attempts: list[Attempt] = []
    with pytest.raises(AllProvidersFailed):
        await caller(a).open_stream([("a", "one")], Chat.of_prompt("p"), attempts)
    assert [x.usage for x in attempts] == [None, None]
