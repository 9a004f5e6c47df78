"""A provider from which nothing comes keeps no more than its part of the places."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from providers import silence
from providers.chat import Chat, Text
from providers.completion import Choice, Completion, CompletionRequest, Usage
from providers.resilience import AllProvidersFailed, ResiliencePolicy, ResilientCaller
from providers.silence import Silence

CHAT = Chat.of_prompt("Hi")


class Hanging:
    """Answers nothing until ``go`` is set."""

    def __init__(self, name: str) -> None:
        self.name, self.go = name, asyncio.Event()

    async def complete(self, request: CompletionRequest) -> Completion:
        await self.go.wait()
        return Completion(self.name, request.model, (Choice((Text("text"),), "stop"),), Usage(1, 1))


def calls(caller: ResilientCaller, count: int, *chain: str) -> list[asyncio.Task[Completion]]:
    models = [(name, "m") for name in chain]
    return [asyncio.create_task(caller.call(models, CHAT, [])) for _ in range(count)]


async def test_further_calls_of_a_silent_provider_go_elsewhere_until_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hangs, works = Hanging("hangs"), Hanging("works")
    works.go.set()
    providers: dict[str, Any] = {"hangs": hangs, "works": works}
    caller = ResilientCaller(providers, ResiliencePolicy(), silence=Silence(3))
    waiting = calls(caller, 3, "hangs")
    await asyncio.sleep(0)
    assert caller.silence.providers() == []
    fourth = calls(caller, 1, "hangs")  # it may only be slow
    await asyncio.sleep(0)
    monkeypatch.setattr(silence, "SILENT_SECONDS", 1e-9)
    assert caller.silence.providers() == ["hangs"]
    (elsewhere,) = await asyncio.gather(*calls(caller, 1, "hangs", "works"))
    assert elsewhere.provider == "works"
    with pytest.raises(AllProvidersFailed, match="are waiting"):
        await asyncio.gather(*calls(caller, 1, "hangs"))
    hangs.go.set()
    await asyncio.gather(*waiting, *fourth)
    assert caller.silence.providers() == []
    assert (await asyncio.gather(*calls(caller, 1, "hangs")))[0].provider == "hangs"


async def test_a_caller_with_less_than_its_share_is_not_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hangs: Any = Hanging("hangs")
    caller = ResilientCaller({"hangs": hangs}, ResiliencePolicy(), silence=Silence(4))

    def ask(who: str) -> asyncio.Task[Completion]:
        return asyncio.create_task(caller.call([("hangs", "m")], CHAT, [], caller=who))

    waiting = [ask("mallory") for _ in range(8)]
    await asyncio.sleep(0)
    monkeypatch.setattr(silence, "SILENT_SECONDS", 1e-9)
    waiting += [ask("ann"), ask("ann")]
    await asyncio.sleep(0)
    for who in ("mallory", "ann"):
        with pytest.raises(AllProvidersFailed, match="are waiting"):
            await ask(who)
    waiting.append(ask("bob"))
    await asyncio.sleep(0)
    hangs.go.set()
    assert len(await asyncio.gather(*waiting)) == 11


async def test_a_call_that_is_cancelled_waits_no_longer() -> None:
    caller = ResilientCaller({"hangs": Hanging("hangs")}, ResiliencePolicy())  # type: ignore[dict-item]
    (call,) = calls(caller, 1, "hangs")
    await asyncio.sleep(0)
    assert caller.silence.waiting("hangs") == 1
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert caller.silence.waiting("hangs") == 0
