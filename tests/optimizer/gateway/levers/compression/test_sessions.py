"""Sessions with the lever ``compression``: what providers get, and what clients never see."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from analytics.models import Lever, RequestRecord, ShortenedPart
from optimizer.wiring.build import get_services
from providers.completion import Usage
from tests.conftest import KEY, Start
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.optimizer.gateway.levers.compression.agents import (
    AGENTS,
    Agent,
    Step,
)

pytestmark = pytest.mark.django_db(transaction=True)
LOG = "\n".join(
    f"2026-01-02 10:{n // 60:02d}:{n % 60:02d} INFO worker.{n % 5} step {n} took {n * 7} ms"
    + (" ERROR: the disk is full" if n == 300 else "")
    for n in range(600)
)
_HANDLE = re.compile(r'optimizer_restore\(\\*"([0-9a-f]{12})')
Script = Callable[[Asked], Sequence[Step]]


@pytest.fixture
async def providers(fakes: dict[str, FakeProvider], monkeypatch: pytest.MonkeyPatch) -> Any:
    async with FakeProvider(lambda asked: Reply({}, 500)) as openai:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", openai.url)
        yield {**fakes, "openai": openai}


async def switch(mode: str, **options: Any) -> None:
    values = {"mode": mode, "options": {"min_tokens": 300, **options}}
    await Lever.objects.aupdate_or_create(name="compression", defaults=values)
    await sync_to_async(get_services().levers.refresh)()


def scripted(agent: Agent, fake: FakeProvider, script: Sequence[Script]) -> None:
    steps: Iterator[Script] = iter(script)
    fake.wire = lambda asked: agent.answer(asked, next(steps)(asked))


def says(*steps: Step) -> Script:
    return lambda asked: steps


def restores(*before: Step, then: Sequence[Step] = ()) -> Script:
    """The model asks for the last text that was shortened."""

    def answer(asked: Asked) -> Sequence[Step]:
        handle = _HANDLE.findall(json.dumps(asked.body))[-1]
        return [*before, *then, ("call", f"r{len(asked.raw)}", "optimizer_restore", {"id": handle})]

    return answer


def texts_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in texts_in(one)]


def seen_text(steps: Sequence[Step]) -> str:
    return "".join(step[1] for step in steps if step[0] == "text")


def seen_calls(steps: Sequence[Step]) -> list[Any]:
    return [step[2:] for step in steps if step[0] == "call"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", AGENTS, ids=lambda kind: kind.__name__)
async def test_a_session(
    kind: type[Agent], streamed: bool, providers: dict[str, FakeProvider], start: Start
) -> None:
    """Logs are shortened, originals come back, and no byte of what was sent ever changes."""
    agent, fake = kind(), providers[kind.fake]
    thought: list[Step] = [("thought", "hm")] if kind is not TRANSLATED else []
    scripted(
        agent,
        fake,
        [
            says(("text", "I run it."), ("call", "c1", "run", {"cmd": "test"})),
            restores(*thought, ("text", "Let me see all of it. ")),
            restores(
                ("text", "There it is. "), then=[("call", "c2", "run", {"cmd": "test again"})]
            ),
            says(("text", "Done.")),
            says(("text", "Bye.")),
        ],
    )
    client = await start()
    await switch("on")

    agent.person("Why does the test fail?")
    seen = await agent.ask(client, streamed=streamed)
    assert seen_calls(seen) == [("run", {"cmd": "test"})]
    agent.results(("c1", LOG))
    seen = await agent.ask(client, streamed=streamed)
    assert seen_text(seen) == "Let me see all of it. There it is. "
    assert seen_calls(seen) == [("run", {"cmd": "test again"})]
    agent.results(("c2", LOG))
    seen = await agent.ask(client, streamed=streamed)
    assert (seen_text(seen), seen_calls(seen)) == ("Done.", [])
    await switch("off")
    agent.person("Thanks.")
    assert seen_text(await agent.ask(client, streamed=streamed)) == "Bye."

    asked = fake.asked
    assert len(asked) == 5
    sent = [agent.sent(one) for one in asked]
    for before, after in pairwise(sent):
        assert after[: len(before)] == before
    assert {tuple(agent.sent_tools(one)) for one in asked} == {("run", "optimizer_restore")}
    # The log is short at first, comes whole when asked for, and is not repeated.
    counts = [sum(text == LOG for text in texts_in(messages)) for messages in sent]
    assert counts == [0, 0, 1, 2, 2]
    assert "ERROR: the disk is full" in json.dumps(sent[1])
    assert "The same text as the earlier result of run(" in json.dumps(sent[3])
    rows = [row async for row in RequestRecord.objects.order_by("created_at")]
    assert [row.tokens_in for row in rows] == [20, 40, 20, 20]
    assert all(row.status == "ok" and not row.attempts for row in rows)
    one = get_services().prices.cost(rows[0].provider, rows[0].model, _usage_of(rows[0]))
    assert one is not None
    assert [row.cost for row in rows] == [one, 2 * one, one, one]
    trials = [(row.levers or {}).get("compression") for row in rows]
    assert [trial and trial["arm"] for trial in trials] == ["treated"] * 3 + [None]
    assert trials[2]["tokens_before"] > 3 * trials[2]["tokens_after"]
    assert all(name == "run" for row in rows for name in row.tools_called or ())
    assert not await ShortenedPart.objects.filter(form__contains="disk").aexists()


TRANSLATED = AGENTS[2]


def _usage_of(row: RequestRecord) -> Usage:
    return Usage(
        row.tokens_in, row.tokens_out, row.cache_read_tokens, row.cache_write_tokens,
        row.reasoning_tokens,
    )  # fmt: skip
