"""Retries, circuits and the fallback chain."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import count
from dataclasses import dataclass

import pytest
import stamina

from providers.chat import Chat, Text
from providers.completion import Choice, Completion, CompletionRequest, Usage
from providers.errors import AuthenticationFailed, Overloaded, ProviderError, RateLimited
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


async def test_refused_keys_do_not_open_the_circuit() -> None:
    a, b = Scripted("a", AuthenticationFailed("a", "no")), Scripted("b", OK)
    resilient = caller(a, b, breaker_failures=1)
    for _ in range(3):
        await call(resilient, "a", "b")
    assert resilient.circuit_state("a") == "closed"


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
