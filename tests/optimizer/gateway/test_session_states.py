"""What routing remembers of a session is the same in all workers, and after a restart."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from analytics.ledger.session_states import SessionLengths, session_lengths
from analytics.ledger.sessions import SessionKey
from analytics.models import (
    AgentSession,
    RequestRecord,
    RoutingMetric,
    RoutingRule,
    SessionStall,
)
from analytics.reports.answer_lengths import (
    ExpectedLengths,
    ImportedLength,
    LengthKind,
    LengthRow,
    answer_lengths,
    imported_lengths,
)
from optimizer.gateway.session_states import _held_back, needs_reasoning
from optimizer.wiring.build import get_services
from providers.chat import Chat, Message, Text, Thinking, ToolCall, ToolResult
from routing.models import ModelRef
from tests.conftest import stop_services
from tests.factories import RequestRecordFactory
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import anthropic_message

database = pytest.mark.django_db(transaction=True)
RUN = "40d122e5-3afc-41fe-a1b3-cf5978a36b9c"
AGENT = {"user-agent": "claude-cli/2.1.332 (external, cli)", "x-claude-code-session-id": RUN}
TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("Bash", "Read")]
HARD = (
    "Design and implement a distributed rate limiter, analyze its complexity, compare at least "
    "three algorithms, prove its correctness and explain every tradeoff step by step in detail."
)
EASY = "By the way, what is the capital of France? I only want its name."
LONG = "x " * 20_000


def turn(number: int) -> list[dict[str, Any]]:
    call = {
        "type": "tool_use",
        "id": f"t{number}",
        "name": "Bash",
        "input": {"command": str(number)},
    }
    result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": f"result {number}"}
    return [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]


async def ask(client: httpx.AsyncClient, *turns: dict[str, Any], **fields: Any) -> httpx.Response:
    headers = {**AGENT, **fields.pop("headers", {})}
    body = {"model": "auto", "max_tokens": 500, "tools": TOOLS, "system": LONG,
            "messages": list(turns), **fields}  # fmt: skip
    reply = await client.post("/v1/messages", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    return reply


def model(reply: httpx.Response) -> str:
    return f"{reply.headers['x-optimizer-provider']}/{reply.headers['x-optimizer-model']}"


Begin = Callable[[], Awaitable[httpx.AsyncClient]]


def conversation_turns() -> list[list[dict[str, Any]]]:
    """The messages of a session's turns: a hard one, tools, an easy one, tools."""
    turns: list[dict[str, Any]] = [{"role": "user", "content": HARD}]
    asked = [list(turns)]
    for number in range(6):
        turns += turn(number)
        if number == 3:
            turns += [{"role": "assistant", "content": "Done."}, {"role": "user", "content": EASY}]
        asked.append(list(turns))
    return asked


async def conversation(start: Begin, *, restarts: bool) -> list[str]:
    """The models of a session's turns."""
    client = await start()
    models: list[str] = []
    for turns in conversation_turns():
        if restarts and models:
            await stop_services()  # another worker, or the same one after a restart
            client = await start()
        models.append(model(await ask(client, *turns)))
    return models


@database
async def test_a_restart_between_all_turns_changes_no_choice(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Begin
) -> None:
    cached = anthropic_message("m", usage={
        "input_tokens": 100, "cache_read_input_tokens": 20_000, "output_tokens": 60})  # fmt: skip
    fakes["claude"].always(Reply(cached))
    once = await conversation(start, restarts=False)
    await stop_services()
    await sync_to_async(AgentSession.objects.all().delete)()
    again = await conversation(start, restarts=True)
    assert again == once


@database
async def test_a_session_is_remembered_in_the_transaction_of_its_requests(
    client: httpx.AsyncClient,
) -> None:
    reply = await ask(client, {"role": "user", "content": HARD})
    row = await AgentSession.objects.aget(sub_agent="")
    assert f"{row.last_provider}/{row.last_model}" == model(reply)
    assert row.last_tier == (await RequestRecord.objects.aget()).tier
    assert (row.cached_tokens, row.cached_until) == (0, None), "nothing was cached"


@database
async def test_side_requests_change_nothing_and_go_to_the_cheapest(
    client: httpx.AsyncClient,
) -> None:
    strong = model(await ask(client, {"role": "user", "content": HARD}))
    title = await ask(
        client, {"role": "user", "content": HARD}, tools=[],
        headers={"x-claude-code-auxiliary-type": "generate_session_title"},
    )  # fmt: skip
    row = await AgentSession.objects.aget()
    assert f"{row.last_provider}/{row.last_model}" == strong
    record = await RequestRecord.objects.aget(turn="title")
    assert record.strategy == "cheapest"
    assert title.headers["x-optimizer-strategy"] == "cheapest"


@database
async def test_a_rule_for_a_kind_of_turn_wins(client: httpx.AsyncClient) -> None:
    await RoutingRule.objects.acreate(
        name="titles", enabled=True, turns=["title"], agents=["claude*"], action="force",
        model_names=["claude/claude-opus-5-5"],
    )  # fmt: skip
    await sync_to_async(get_services().rules.refresh)()
    title = await ask(
        client, {"role": "user", "content": EASY}, tools=[],
        headers={"x-claude-code-auxiliary-type": "generate_session_title"},
    )  # fmt: skip
    assert model(title) == "claude/claude-opus-5-5"
    assert model(await ask(client, {"role": "user", "content": EASY})) != "claude/claude-opus-5-5"


@database
async def test_named_models_are_left_alone(client: httpx.AsyncClient) -> None:
    headers = {"x-claude-code-auxiliary-type": "generate_session_title"}
    reply = await ask(
        client, {"role": "user", "content": EASY}, model="claude-opus-5-5", headers=headers
    )
    assert model(reply) == "claude/claude-opus-5-5"


def circle(rounds: int) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = [{"role": "user", "content": EASY}]
    for _ in range(rounds):
        turns += turn(1)
    return turns


def session_of(*, held_back: bool) -> str:
    """A session's id whose lot says so."""
    names = (f"run-{number}" for number in range(100))
    return next(n for n in names if _held_back(SessionKey("", n)) == held_back)


@database
@pytest.mark.parametrize("held_back", [False, True])
async def test_a_circle_is_recorded_with_the_move_or_with_the_lot(
    client: httpx.AsyncClient, held_back: bool
) -> None:
    headers = {"x-claude-code-session-id": session_of(held_back=held_back)}
    before = model(await ask(client, *circle(0), headers=headers))
    await ask(client, *circle(2), headers=headers)
    assert await SessionStall.objects.acount() == 0
    after = model(await ask(client, *circle(3), headers=headers))
    again = model(await ask(client, *circle(4), headers=headers))
    assert (after != before) is not held_back
    assert again == after
    stall = await SessionStall.objects.aget()
    assert (stall.model, stall.held_back) == (before, held_back)
    assert stall.moved_to == ("" if held_back else after)
    metric = await RoutingMetric.objects.aget(pk=stall.request_id)
    assert metric.metadata["repeated"] == 3
    body = (await client.get(f"/v1/sessions/{headers['x-claude-code-session-id']}")).json()
    assert body["stalls"][0]["moved_to"] == stall.moved_to


@database
async def test_a_circle_with_a_named_model_is_recorded_too(client: httpx.AsyncClient) -> None:
    await ask(client, *circle(3), model="claude-haiku-5-5")
    stall = await SessionStall.objects.aget()
    assert (stall.model, stall.moved_to, stall.held_back) == ("claude/claude-haiku-5-5", "", False)


class TestReasoning:
    thinking = Thinking("…", signature="sig")
    call = ToolCall("c", "Bash", "{}")
    result = Message("user", (ToolResult("c", (Text("ok"),)),))

    def chat(self, *messages: Message) -> Chat:
        return Chat((Message("user", (Text("go"),)), *messages))

    def test_reasoning_since_the_last_words_must_be_read(self) -> None:
        thought = Message("assistant", (self.thinking, self.call))
        assert needs_reasoning(self.chat(thought, self.result))
        signed = Message("assistant", (ToolCall("c", "Bash", "{}", signature="s"),))
        assert needs_reasoning(self.chat(signed, self.result))

    def test_older_reasoning_and_shown_reasoning_need_not(self) -> None:
        thought = Message("assistant", (self.thinking, self.call))
        spoken = Message("user", (Text("now this"),))
        assert not needs_reasoning(self.chat(thought, self.result, spoken))
        shown = Message("assistant", (Thinking("I think"), self.call))
        assert not needs_reasoning(self.chat(shown, self.result))


class TestLengthsOfSessions:
    @given(st.lists(st.integers(1, 200), max_size=50), st.integers(0, 250))
    def test_they_are_the_mean_of_what_was_still_to_come(
        self, lengths: list[int], calls: int
    ) -> None:
        rest = [length - calls for length in lengths if length > calls]
        expected = (sum(rest) + 20 * 5.0) / (len(rest) + 20)
        known = SessionLengths({"codex": lengths})
        assert known.expected_after("codex", calls) == pytest.approx(expected)
        assert known.expected_after("another", calls) == 5.0

    @pytest.mark.django_db
    def test_they_are_those_of_ended_sessions_of_agents(self) -> None:
        ended, now = timezone.now() - timedelta(hours=2), timezone.now()
        for number, (agent, last, calls) in enumerate(
            [("codex", ended, 100), ("codex", now, 900), ("chat", ended, 900)]
        ):
            AgentSession.objects.create(
                session_id=str(number), agent=agent, requests=calls, started_at=ended, last_at=last
            )
        assert session_lengths().expected_after("codex", 0) == pytest.approx(200 / 21)


class TestLengthsOfAnswers:
    REF, OTHER = ModelRef("a", "x"), ModelRef("a", "y")
    KIND = LengthKind("human", "simple", "")

    def test_few_answers_say_nothing(self) -> None:
        lengths = ExpectedLengths([LengthRow(self.REF, self.KIND, 29, 900.0)])
        assert lengths.expected(self.REF, self.KIND) is None

    def test_a_model_is_drawn_to_its_kind_and_the_kind_to_its_tier(self) -> None:
        lengths = ExpectedLengths([
            LengthRow(self.REF, self.KIND, 80, 1000.0), LengthRow(self.OTHER, self.KIND, 20, 500.0),
        ])  # fmt: skip
        usual = (100 * 900 + 20 * 120) / 120
        assert lengths.expected(self.REF, self.KIND) == round((80 * 1000 + 20 * usual) / 100)
        assert lengths.expected(ModelRef("a", "new"), self.KIND) == round(usual)
        assert lengths.expected(self.REF, self.KIND._replace(turn="title")) is None

    def test_imported_answers_stand_for_those_that_are_not_there_yet(self) -> None:
        imported = [ImportedLength(self.REF, "simple", 80, 300.0)]
        lengths = ExpectedLengths(imported=imported)
        usual = (80 * 300 + 20 * 120) / 100
        assert lengths.any
        assert lengths.expected(self.REF, self.KIND) == round((80 * 300 + 20 * usual) / 100)
        assert lengths.expected(self.OTHER, self.KIND) is None
        assert lengths.expected(self.REF, self.KIND._replace(tier="complex")) is None
        both = ExpectedLengths([LengthRow(self.OTHER, self.KIND, 100, 500.0)], imported)
        kind = (100 * 500 + 20 * usual) / 120
        assert both.expected(self.OTHER, self.KIND) == round((100 * 500 + 20 * kind) / 120)

    @pytest.mark.django_db
    def test_the_command_imports_lengths(self, tmp_path: Path) -> None:
        file = tmp_path / "judged.jsonl"
        outcome = {"quality": 1.0, "input_tokens": 9, "output_tokens": 50}
        silent = {"quality": 1.0, "input_tokens": 9, "output_tokens": 0}
        file.write_text("".join(
            json.dumps({"id": str(n), "benchmark": "b", "prompt": "What is the capital of France?",
                        "outcomes": {"x": outcome if n else silent}}) + "\n"
            for n in range(3)
        ))  # fmt: skip
        call_command("import_outcomes", str(file), model=["x=claude/claude-haiku-5-5"])
        (row,) = imported_lengths()
        assert (str(row.ref), row.answers, row.mean) == ("claude/claude-haiku-5-5", 2, 50.0)

    @pytest.mark.django_db
    def test_they_come_from_complete_answers(self) -> None:
        RequestRecordFactory.create_batch(3, turn="title", tokens_out=30, effort="low")
        RequestRecordFactory(turn="title", tokens_out=900, effort="low", cache_hit=True)
        RequestRecordFactory(turn="title", tokens_out=900, effort="low", usage_estimated=True)
        (row,) = answer_lengths()
        assert (row.kind, row.answers, row.mean) == (LengthKind("title", "simple", "low"), 3, 30.0)
