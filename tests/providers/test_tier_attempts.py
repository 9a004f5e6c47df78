"""A call in another service tier, and the standard tier behind it."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest
import stamina

from providers.chat import Chat, Text
from providers.completion import Choice, Completion, CompletionRequest, Usage
from providers.errors import (
    ConnectionLost,
    Overloaded,
    ProviderError,
    RateLimited,
    RequestRejected,
    error_for_status,
)
from providers.resilience import (
    AllProvidersFailed,
    Attempt,
    ResiliencePolicy,
    ResilientCaller,
    TierAttempt,
)

OK = "ok"
CHAIN = [("a", "m")]


class Tiered:
    """Answers by the tier that is asked for; the last instruction of each repeats."""

    name = "a"

    def __init__(self, flex: list[object], standard: list[object]) -> None:
        self.asked: list[str] = []
        self._scripts = {"flex": deque(flex), "": deque(standard)}

    async def complete(self, request: CompletionRequest) -> Completion:
        self.asked.append(request.service_tier)
        script = self._scripts[request.service_tier]
        step = script.popleft() if len(script) > 1 else script[0]
        if isinstance(step, ProviderError):
            raise step
        if isinstance(step, float):
            await asyncio.sleep(step)
        usage = Usage(1, 1, service_tier=request.service_tier)
        return Completion("a", request.model, (Choice((Text("text"),), "stop"),), usage)

    async def aclose(self) -> None: ...


@pytest.fixture(autouse=True)
def _no_waiting():
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


async def call(caller: ResilientCaller, seconds: float = 5.0) -> tuple[Completion, list[Attempt]]:
    attempts: list[Attempt] = []
    first = TierAttempt("flex", seconds)
    completion = await caller.call(CHAIN, Chat.of_prompt("x", 5), attempts, first=first)
    return completion, attempts


def caller(provider: Tiered, **policy: object) -> ResilientCaller:
    return ResilientCaller({"a": provider}, ResiliencePolicy(**policy))


async def test_the_tier_answers_first_and_says_so() -> None:
    provider = Tiered([OK], [OK])
    completion, attempts = await call(caller(provider))
    assert (provider.asked, attempts, completion.usage.service_tier) == (["flex"], [], "flex")


@pytest.mark.parametrize(
    "full",
    [RateLimited("a", "full"), Overloaded("a", "full"), error_for_status("a", 408)],
    ids=["429", "503", "408"],
)
async def test_a_tier_without_capacity_falls_back_to_the_standard_one(full: ProviderError) -> None:
    provider = Tiered([full], [OK])
    completion, attempts = await call(caller(provider))
    assert (provider.asked, completion.usage.service_tier) == (["flex", ""], "")
    assert [(a.error, a.service_tier) for a in attempts] == [(full.code, "flex")]


async def test_a_tier_that_takes_too_long_leaves_time_for_the_standard_one() -> None:
    provider = Tiered([30.0], [OK])
    completion, attempts = await call(caller(provider), 0.05)
    assert completion.usage.service_tier == ""
    (late,) = attempts
    # It may be charged for, at the prices of the tier.
    assert (late.error, late.service_tier) == ("timeout", "flex")
    assert late.usage is not None
    assert late.usage.service_tier == "flex"


async def test_what_the_tier_does_says_nothing_of_the_model() -> None:
    provider = Tiered([RateLimited("a", "full", retry_after=120.0)], [OK])
    resilient = caller(provider, breaker_failures=1)
    await call(resilient)
    assert resilient.circuit_state("a") == "closed"
    assert not resilient.cooldowns.models
    assert resilient.tiers.cooldowns.remaining("a", "m") > 100


async def test_a_model_without_the_tier_is_not_asked_again_for_an_hour() -> None:
    provider = Tiered([RequestRejected("a", "no such tier", status=400)], [OK])
    resilient = caller(provider)
    await call(resilient)
    assert resilient.tiers.cooldowns.remaining("a", "m") > 3000


async def test_a_request_that_both_refuse_is_the_request_s_fault() -> None:
    refused = RequestRejected("a", "bad request", status=400)
    resilient = caller(Tiered([refused], [refused]))
    with pytest.raises(AllProvidersFailed):
        await call(resilient)
    assert not resilient.tiers.cooldowns.models


async def test_the_calls_of_a_request_are_bounded_over_both_tiers() -> None:
    provider = Tiered([Overloaded("a", "full")], [Overloaded("a", "busy")])
    with pytest.raises(AllProvidersFailed):
        await call(caller(provider, max_calls=2))
    assert provider.asked == ["flex", ""]


async def test_a_lost_answer_of_the_tier_is_priced_by_the_tier() -> None:
    _, attempts = await call(caller(Tiered([ConnectionLost("a", "gone")], [OK])))
    assert attempts[0].usage is not None
    assert attempts[0].usage.service_tier == "flex"
