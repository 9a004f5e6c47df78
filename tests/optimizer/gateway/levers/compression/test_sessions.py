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
    ClaudeAgent,
    OpenAIAgent,
    ResponsesAgent,
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
    recorded = RequestRecord.objects.select_related("decision").order_by("created_at")
    rows = [row async for row in recorded]
    assert [row.tokens_in for row in rows] == [20, 40, 20, 20]
    assert all(row.status == "ok" and not row.attempts for row in rows)
    one = get_services().prices.cost(rows[0].provider, rows[0].model, _usage_of(rows[0]))
    assert one is not None
    assert [row.cost for row in rows] == [one, 2 * one, one, one]
    # Without the lever, each answer would have been one call.
    assert [row.decision.baseline_cost for row in rows] == [one] * 4
    hidden = [(row.billed_units or {}).get("beside", []) for row in rows]
    assert [[call["by_gateway"] for call in calls] for calls in hidden] == [[], [True], [], []]
    trials = [(row.levers or {}).get("compression") for row in rows]
    assert [trial and trial["arm"] for trial in trials] == ["treated"] * 3 + [None]
    assert trials[1]
    assert trials[1]["tokens_before"] > 3 * trials[1]["tokens_after"]
    # By now the original is there twice, as the model asked for it twice.
    assert trials[2]
    assert trials[2]["tokens_after"] > 0.9 * trials[2]["tokens_before"]
    assert all(name == "run" for row in rows for name in row.tools_called or ())
    assert not await ShortenedPart.objects.filter(form__contains="disk").aexists()


TRANSLATED = AGENTS[2]


def _usage_of(row: RequestRecord) -> Usage:
    return Usage(
        row.tokens_in, row.tokens_out, row.cache_read_tokens, row.cache_write_tokens,
        row.reasoning_tokens,
    )  # fmt: skip


async def test_a_session_that_began_before_is_not_cut(
    providers: dict[str, FakeProvider], start: Start
) -> None:
    """The tool would change what is cached; a copy stands earlier in the conversation."""
    agent, fake = ClaudeAgent(), providers["claude"]
    call = ("call", "c1", "run", {"cmd": "test"})
    again = ("call", "c2", "run", {"cmd": "test"})
    scripted(agent, fake, [says(call), says(again), says(("text", "Done."))])
    client = await start()
    agent.person("Why?")
    await agent.ask(client)
    await switch("on")
    agent.results(("c1", LOG))
    await agent.ask(client)
    agent.results(("c2", LOG))
    await agent.ask(client)
    sent = [agent.sent(asked) for asked in fake.asked]
    assert [agent.sent_tools(asked) for asked in fake.asked] == [["run"]] * 3
    assert [texts_in(messages).count(LOG) for messages in sent] == [0, 1, 1]
    assert "The same text as the earlier result" in json.dumps(sent[2])
    for before, after in pairwise(sent):
        assert after[: len(before)] == before


async def test_the_control_is_left_alone_and_counted(
    providers: dict[str, FakeProvider], start: Start
) -> None:
    fake = providers["openrouter"]
    client = await start()
    await Lever.objects.aupdate_or_create(
        name="compression",
        defaults={"mode": "prove", "control_share": 0.5, "options": {"min_tokens": 300}},
    )
    await sync_to_async(get_services().levers.refresh)()
    arms = []
    for number in range(6):
        agent = OpenAIAgent(session=f"s{number}")
        call = ("call", "c1", "run", {"cmd": "test"})
        scripted(agent, fake, [says(call), says(("text", "Done.")), says(("text", "Bye."))])
        agent.person("Why?")
        await agent.ask(client)
        agent.results(("c1", LOG))
        await agent.ask(client)
        agent.person("Thanks")
        await agent.ask(client)
        rows = [r async for r in RequestRecord.objects.filter(session_id=f"s{number}")]
        trials = [row.levers["compression"] for row in rows if row.levers]
        assert len(trials) == 3  # both arms are counted alike
        assert len({trial["arm"] for trial in trials}) == 1
        assert sum(t["tokens_before"] > 3 * t["tokens_after"] for t in trials) == 2
        arms.append(trials[0]["arm"])
        whole = [LOG in texts_in(asked.body) for asked in fake.asked[-3:]]
        tools = {tuple(agent.sent_tools(asked)) for asked in fake.asked[-3:]}
        if arms[-1] == "control":
            assert (whole, tools) == ([False, True, True], {("run",)})
        else:
            assert (whole, tools) == ([False] * 3, {("run", "optimizer_restore")})
    assert set(arms) == {"treated", "control"}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_model_that_asks_on_and_on_gets_the_whole_request(
    streamed: bool, providers: dict[str, FakeProvider], start: Start
) -> None:
    agent, fake = ClaudeAgent(), providers["claude"]
    call = ("call", "c1", "run", {"cmd": "test"})
    scripted(agent, fake, [says(call), *[restores()] * 5, says(("text", "Now I know."))])
    client = await start()
    await switch("on")
    agent.person("Why?")
    await agent.ask(client)
    agent.results(("c1", LOG))
    seen = await agent.ask(client, streamed=streamed)
    assert seen == [("text", "Now I know.")]
    assert len(fake.asked) == 7
    assert agent.sent_tools(fake.asked[-1]) == ["run"]
    assert agent.sent(fake.asked[-1]) == _without_hints(agent.turns[:-1])
    row = await RequestRecord.objects.order_by("-created_at").afirst()
    assert row is not None
    assert row.tokens_in == 6 * 20
    assert not await ShortenedPart.objects.filter(part__startswith="turn").aexists()


def _without_hints(turns: list[Any]) -> Any:
    return json.loads(json.dumps(turns).replace(', "cache_control": {"type": "ephemeral"}', ""))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_rounds_that_fail_are_paid_for(
    streamed: bool, providers: dict[str, FakeProvider], start: Start
) -> None:
    agent, fake = ClaudeAgent(), providers["claude"]
    call = ("call", "c1", "run", {"cmd": "test"})
    scripted(agent, fake, [says(call), restores(("text", "Let me see. "))])
    client = await start()
    await switch("on")
    agent.person("Why?")
    await agent.ask(client)
    agent.results(("c1", LOG))
    answer = fake.wire
    fake.wire = lambda asked: Reply({}, 400) if LOG in texts_in(asked.body) else answer(asked)
    body = agent.body() | ({"stream": True} if streamed else {})
    reply = await client.post(agent.path, json=body, headers={"x-session-id": agent.session})
    assert "optimizer_restore" not in reply.text
    rows = [row async for row in RequestRecord.objects.order_by("created_at")]
    assert rows[1].status != "ok"
    assert rows[1].cost == rows[0].cost > 0, "what was refused costs nothing"


def stubborn(agent: Agent, fake: FakeProvider, last: Sequence[Step], *, foreign: bool) -> None:
    """Have the model ask for the original as long as it can, then once more if ``foreign``."""
    asked_again = iter([True] if foreign else [])

    def wire(asked: Asked) -> Reply:
        if "optimizer_restore" in agent.sent_tools(asked):
            return agent.answer(asked, restores()(asked))
        if next(asked_again, False):
            return agent.answer(asked, [("call", "r9", "optimizer_restore", {"id": "0" * 12})])
        return agent.answer(asked, last)

    fake.wire = wire


@pytest.mark.parametrize("foreign", [False, True], ids=["obeys", "asks-once-more"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", AGENTS, ids=lambda kind: kind.__name__)
async def test_a_model_that_asks_without_end_answers_the_client_s_own_request(
    kind: type[Agent],
    streamed: bool,
    foreign: bool,
    providers: dict[str, FakeProvider],
    start: Start,
) -> None:
    agent, fake = kind(), providers[kind.fake]
    scripted(agent, fake, [says(("call", "c1", "run", {"cmd": "test"}))])
    client = await start()
    await switch("on")
    agent.person("Why?")
    await agent.ask(client)
    agent.results(("c1", LOG))
    stubborn(agent, fake, [("text", "The disk is full.")], foreign=foreign)
    seen = await agent.ask(client, streamed=streamed)
    assert (seen_text(seen), seen_calls(seen)) == ("The disk is full.", [])
    rows = [row async for row in RequestRecord.objects.order_by("created_at")]
    assert rows[1].cost == (6 + foreign) * rows[0].cost > 0


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("tools", [False, True], ids=["no-tools", "tools"])
@pytest.mark.parametrize("kind", [ClaudeAgent, OpenAIAgent], ids=lambda kind: kind.__name__)
async def test_rounds_of_which_the_client_sees_nothing_are_no_answer(
    kind: type[Agent],
    tools: bool,
    streamed: bool,
    providers: dict[str, FakeProvider],
    start: Start,
) -> None:
    """Claude may end its turn without a word once it has got a result."""
    agent, fake = kind(tools=tools), providers[kind.fake]
    scripted(agent, fake, [restores(), says(), says(("text", "The disk is full."))])
    client = await start()
    await switch("on")
    agent.person(f"Why does this fail?\n```\n{LOG}\n```\nBe short.")
    seen = await agent.ask(client, streamed=streamed)
    assert seen_text(seen) == "The disk is full."
    assert "optimizer_restore" not in agent.sent_tools(fake.asked[-1])
    assert LOG in json.loads(json.dumps("\n".join(texts_in(agent.sent(fake.asked[-1])))))
    record = await RequestRecord.objects.aget()
    assert record.status == "ok"
    assert record.cost
    one = get_services().prices.cost(record.provider, record.model, Usage(20, 9))
    assert one
    assert record.cost > 2 * one


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_calls_that_fail_within_an_answer_are_recorded(
    streamed: bool, providers: dict[str, FakeProvider], start: Start
) -> None:
    """The second round is answered at the second try: both calls are recorded once."""
    agent, fake = ClaudeAgent(), providers["claude"]
    call = ("call", "c1", "run", {"cmd": "test"})
    scripted(agent, fake, [says(call), restores(), says(("text", "Now I know."))])
    client = await start()
    await switch("on")
    agent.person("Why?")
    await agent.ask(client)
    agent.results(("c1", LOG))
    answer, refused = fake.wire, iter([Reply({}, 500)])
    fake.wire = lambda asked: (
        (next(refused, None) if LOG in texts_in(asked.body) else None) or answer(asked)
    )
    assert await agent.ask(client, streamed=streamed) == [("text", "Now I know.")]
    rows = [row async for row in RequestRecord.objects.order_by("created_at")]
    assert [one["status"] for one in rows[1].attempts] == [500]
    assert rows[1].cost == 2 * rows[0].cost > 0


async def test_what_the_provider_keeps_is_not_cut(
    providers: dict[str, FakeProvider], start: Start
) -> None:
    """A later request that names the response would not have the originals."""
    agent, fake = ResponsesAgent(), providers["openai"]
    agent.store = True
    call = ("call", "c1", "run", {"cmd": "test"})
    scripted(agent, fake, [says(call), says(("text", "Done."))])
    client = await start()
    await switch("on")
    agent.person("Why?")
    await agent.ask(client)
    agent.results(("c1", LOG))
    await agent.ask(client)
    assert LOG in texts_in(fake.asked[-1].body)
    assert agent.sent_tools(fake.asked[-1]) == ["run"]


async def test_a_pasted_log_is_cut_without_any_tools_of_the_client(
    providers: dict[str, FakeProvider], start: Start
) -> None:
    agent, fake = OpenAIAgent(tools=False), providers["openrouter"]
    scripted(agent, fake, [restores(), says(("text", "The disk is full."))])
    client = await start()
    await switch("on")
    agent.person(f"Why does this fail?\n```\n{LOG}\n```\nBe short, keep   my spaces.")
    assert await agent.ask(client) == [("text", "The disk is full.")]
    asked = [texts_in(agent.sent(one)) for one in fake.asked]
    assert asked[0][1].endswith("```\nBe short, keep   my spaces.")
    assert len(asked[0][1]) < len(LOG) / 5
    assert f"{LOG}\n" in asked[1]


async def test_nothing_is_asked_of_the_database_where_it_is_off(
    providers: dict[str, FakeProvider], start: Start
) -> None:
    agent = OpenAIAgent()
    scripted(agent, providers["openrouter"], [says(("text", "Yes."))])
    client = await start()
    levers = get_services().routing._calls._levers
    assert levers is not None
    assert not levers.needed
    agent.person("Hi")
    await agent.ask(client)
    assert not await ShortenedPart.objects.aexists()
