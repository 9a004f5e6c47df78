"""Guard rails in the whole service: what is sent, given, refused, recorded and shown."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from django.urls import reverse

from analytics.ledger.ledger import BudgetsUnavailable
from analytics.models import BudgetHold, RequestRecord
from optimizer.budgets.reservation import Reservation
from optimizer.wiring.build import get_services
from tests.conftest import Start, logged_in
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import (
    KEY,
    anthropic_message,
    as_asked,
    embeddings_wire,
    openai_completion,
    openai_error,
)
from tests.optimizer.budgets.test_reservations import limit

pytestmark = pytest.mark.django_db(transaction=True)

MAIL, OTHER = "ann@example.com", "bob@example.org"
WORDS = f"Mail {MAIL}, then {OTHER}, then {MAIL} again."
MASKED = "Mail <EMAIL_1>, then <EMAIL_2>, then <EMAIL_1> again."
_MAIL = re.compile(r"[\w.]+@[\w.]+\w")
CHATS, MESSAGES = "/v1/chat/completions", "/v1/messages"


def emails(text: str) -> list[tuple[int, int, str]]:
    return [(match.start(), match.end(), "email") for match in _MAIL.finditer(text)]


def broken(text: str) -> list[tuple[int, int, str]]:
    raise ZeroDivisionError(text)


class Upstream:
    """OpenAI's and Anthropic's APIs: they answer with what they were sent, and moderate."""

    def __init__(self) -> None:
        self.answer = ""
        self.body: dict[str, Any] | None = None
        self.moderation: Reply | None = None
        self.moderated: list[list[str]] = []
        self.chats: list[dict[str, Any]] = []

    def __call__(self, asked: Asked) -> Reply:
        if asked.path.endswith("/moderations"):
            assert asked.headers["authorization"] == f"Bearer {KEY}"
            self.moderated.append(asked.body["input"])
            return self.moderation or moderation(*map(self.score, asked.body["input"]))
        self.chats.append(asked.body)
        if asked.path.endswith("/embeddings"):
            return embeddings_wire(asked)
        if self.body is not None:
            return as_asked(asked, self.body)
        text = self.answer or last_text(asked.body)
        if asked.path.endswith("/messages"):
            return as_asked(asked, anthropic_message(asked.body["model"], text))
        return as_asked(asked, openai_completion(asked.body["model"], text))

    @staticmethod
    def score(text: str) -> float:
        return 0.95 if "attack" in text else 0.01


def last_text(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def moderation(*scores: float) -> Reply:
    """https://platform.openai.com/docs/api-reference/moderations/object"""
    results = [
        {
            "flagged": score > 0.5,
            "categories": {"violence": score > 0.5, "hate": False},
            "category_scores": {"violence": score, "hate": 0.2},
        }
        for score in scores
    ]
    return Reply({"id": "modr-1", "model": "omni-moderation-latest", "results": results})


class Guarded:
    def __init__(self, upstream: Upstream, start: Start, settings: Any) -> None:
        self.upstream = upstream
        self._start = start
        self.settings = settings
        self.client: httpx.AsyncClient

    async def with_rails(self, *rails: str, **changes: Any) -> Guarded:
        self.settings.GUARDRAILS = list(rails)
        finder = "tests.optimizer.gateway.test_guardrails:emails"
        self.settings.GUARDRAIL_PERSONAL_DATA = finder
        for name, value in changes.items():
            setattr(self.settings, name.upper(), value)
        self.client = await self._start()
        return self

    async def ask(self, text: str = WORDS, path: str = CHATS, **body: Any) -> httpx.Response:
        models = {CHATS: "gpt-6-luna", MESSAGES: "claude-haiku-5-5"}
        sent = {"messages": [{"role": "user", "content": text}], "max_tokens": 99, **body}
        return await self.client.post(
            path, json={"model": models[path], **sent}, headers={"cache-control": "no-store"}
        )


@pytest.fixture
async def guarded(
    start: Start, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> AsyncIterator[Guarded]:
    upstream = Upstream()
    async with FakeProvider(upstream) as fake:
        for name in ("OPENAI", "ANTHROPIC"):
            monkeypatch.setenv(f"{name}_API_KEY", KEY)
            monkeypatch.setenv(f"{name}_BASE_URL", fake.url)
        yield Guarded(upstream, start, settings)


async def last_record() -> RequestRecord:
    record = await RequestRecord.objects.order_by("-created_at").afirst()
    assert record is not None
    return record


def rails_of(record: RequestRecord) -> list[tuple[str, str, str]]:
    rails = record.guardrails or []
    assert all(rail["cost"] == "0" for rail in rails)
    assert all(rail["ms"] >= 0 for rail in rails)
    return [(rail["rail"], rail["stage"], rail["verdict"]) for rail in rails]


def streamed_text(answer: httpx.Response) -> str:
    texts = []
    for line in answer.text.splitlines():
        if line.startswith("data: {"):
            data = json.loads(line.removeprefix("data: "))
            texts += [c["delta"].get("content") or "" for c in data.get("choices", ())]
            if data.get("type") == "content_block_delta":
                texts.append(data["delta"].get("text", ""))
    return "".join(texts)


@pytest.mark.parametrize("path", [CHATS, MESSAGES])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_personal_data_is_not_sent_and_comes_back(
    path: str, stream: bool, guarded: Guarded
) -> None:
    await guarded.with_rails("personal_data")
    answer = await guarded.ask(path=path, stream=stream)
    assert answer.status_code == 200
    sent = json.dumps(guarded.upstream.chats)
    assert MASKED in sent
    assert MAIL not in sent
    assert OTHER not in sent
    if stream:
        assert streamed_text(answer) == WORDS
    else:
        assert WORDS in answer.text
    record = await last_record()
    assert rails_of(record) == [("personal_data", "input", "changed")]
    assert record.guardrails[0]["detail"] == "2 EMAIL"
    assert MAIL not in json.dumps(record.guardrails)
    assert record.attempts == []
    assert record.failed_cost == 0


async def test_a_conversation_has_the_same_placeholders_on_every_turn(guarded: Guarded) -> None:
    await guarded.with_rails("personal_data")
    turns = [
        {"role": "user", "content": f"I am {MAIL}"},
        {"role": "assistant", "content": f"Hello {MAIL}"},
        {"role": "user", "content": f"And {OTHER}?"},
    ]
    await guarded.ask(messages=turns)
    more = [{"role": "assistant", "content": OTHER}, {"role": "user", "content": "Who are we?"}]
    await guarded.ask(messages=turns + more)
    first, second = (chat["messages"] for chat in guarded.upstream.chats)
    assert second[:3] == first
    assert second[3]["content"] == "<EMAIL_2>"


async def test_tools_get_the_values_in_their_json(guarded: Guarded) -> None:
    await guarded.with_rails("personal_data")
    arguments = json.dumps({"to": "<EMAIL_1>"})
    call = {"id": "c1", "type": "function", "function": {"name": "send", "arguments": arguments}}
    body = openai_completion("gpt-6-luna", None)
    body["choices"][0] |= {
        "message": {"role": "assistant", "content": None, "tool_calls": [call]},
        "finish_reason": "tool_calls",
    }
    guarded.upstream.body = body
    tools = [{"type": "function", "function": {"name": "send", "parameters": {"type": "object"}}}]
    for stream in (False, True):
        answer = await guarded.ask(tools=tools, stream=stream)
        if stream:
            texts = [
                piece["function"].get("arguments", "")
                for line in answer.text.splitlines()
                if line.startswith("data: {")
                for choice in json.loads(line.removeprefix("data: ")).get("choices", ())
                for piece in choice["delta"].get("tool_calls", ())
            ]
            text = "".join(texts)
        else:
            message = answer.json()["choices"][0]["message"]
            text = message["tool_calls"][0]["function"]["arguments"]
        assert json.loads(text) == {"to": MAIL}


async def test_without_restoring_the_client_gets_the_placeholders(guarded: Guarded) -> None:
    await guarded.with_rails("personal_data", guardrail_restore=False)
    assert MASKED in (await guarded.ask()).text


async def test_embeddings_are_masked(guarded: Guarded) -> None:
    await guarded.with_rails("personal_data")
    body = {"model": "text-embedding-3-small", "input": [WORDS, "Hello"]}
    assert (await guarded.client.post("/v1/embeddings", json=body)).status_code == 200
    assert guarded.upstream.chats[-1]["input"] == [MASKED, "Hello"]


async def test_pictures_speech_ranks_and_moderations_are_masked(guarded: Guarded) -> None:
    await guarded.with_rails("personal_data")
    for path, body in (
        ("images/generations", {"model": "gpt-image-2.5-flare", "prompt": WORDS}),
        ("audio/speech", {"model": "gpt-4o-mini-tts", "input": WORDS, "voice": "alloy"}),
    ):
        await guarded.client.post(f"/v1/{path}", json=body)
        assert (
            guarded.upstream.chats[-1].get("prompt", guarded.upstream.chats[-1].get("input"))
            == MASKED
        )
        assert rails_of(await last_record())[0] == ("personal_data", "input", "changed")
    await guarded.client.post("/v1/moderations", json={"input": [WORDS]})
    assert guarded.upstream.moderated[-1] == [MASKED]


async def test_what_the_model_flags_makes_no_picture_and_is_still_moderated(
    guarded: Guarded,
) -> None:
    await guarded.with_rails("moderation")
    body = {"model": "gpt-image-2.5-flare", "prompt": "An attack"}
    answer = await guarded.client.post("/v1/images/generations", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "guardrail_refused")
    assert not guarded.upstream.chats
    assert rails_of(await last_record()) == [("moderation", "input", "refused")]
    answer = await guarded.client.post("/v1/moderations", json={"input": ["An attack"]})
    assert answer.json()["results"][0]["flagged"] is True
    assert len(guarded.upstream.moderated) == 2


@pytest.mark.parametrize("opens", [False, True])
async def test_masking_that_fails_refuses_or_lets_pass(opens: bool, guarded: Guarded) -> None:
    names = ["personal_data"] if opens else []
    await guarded.with_rails("personal_data", guardrails_open=names)
    rail = get_services().caller.guard.rails[0]  # type: ignore[union-attr]
    rail._find = broken  # type: ignore[attr-defined]
    answer = await guarded.ask()
    record = await last_record()
    if opens:
        assert answer.status_code == 200
        assert rails_of(record) == [("personal_data", "input", "failed_open")]
        return
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "guardrail_unavailable")
    assert rails_of(record) == [("personal_data", "input", "failed_closed")]
    assert (record.status, record.error_code) == ("error", "guardrail_failed")
    assert not guarded.upstream.chats
    assert MAIL not in answer.text


async def test_fields_of_the_client_s_own_are_masked_and_what_no_model_reads_stays_masked(
    guarded: Guarded,
) -> None:
    await guarded.with_rails("personal_data")
    third, fourth = "cyd@example.net", "dan@example.net"
    guarded.upstream.answer = "1 <EMAIL_1>, 2 <EMAIL_2>, 3 <EMAIL_3>, 4 <EMAIL_4>"
    answer = await guarded.ask(
        f"I am {MAIL}",
        chat_template_kwargs={"name": OTHER},
        prompt_cache_key=third,
        client_metadata={"x-codex-turn-metadata": {"id": fourth}},
    )
    sent = guarded.upstream.chats[-1]
    assert not [mail for mail in (MAIL, OTHER, third, fourth) if mail in json.dumps(sent)]
    text = answer.json()["choices"][0]["message"]["content"]
    assert sorted(re.findall(_MAIL, text)) == sorted([MAIL, OTHER])


async def test_a_document_as_text_is_masked_on_its_own_wire(guarded: Guarded) -> None:
    await guarded.with_rails("personal_data")
    source = {"type": "text", "media_type": "text/plain", "data": WORDS}
    document = {"type": "document", "title": OTHER, "source": source}
    content = [document, {"type": "text", "text": "Whom?"}]
    await guarded.ask(path=MESSAGES, messages=[{"role": "user", "content": content}])
    sent = json.dumps(guarded.upstream.chats[-1])
    assert MAIL not in sent
    assert OTHER not in sent


@pytest.mark.parametrize("opens", [False, True])
@pytest.mark.parametrize("path", [CHATS, MESSAGES, "/v1/embeddings"])
async def test_what_is_nested_too_deeply_to_be_masked_is_the_client_s_error(
    path: str, opens: bool, guarded: Guarded
) -> None:
    """A rail that fails open refuses it, too: anybody could pass it by nesting."""
    names = ["personal_data"] if opens else []
    await guarded.with_rails("personal_data", guardrails_open=names)
    body: dict[str, Any] = {"model": "claude-haiku-5-5", "max_tokens": 9}
    if path == "/v1/embeddings":
        body = {"model": "text-embedding-3-small", "input": "Hi"}
    else:
        body["messages"] = [{"role": "user", "content": "Hi"}]
    for levels, status in ((150, 200), (300, 400), (900, 400)):
        nested = '{"a":' * levels + json.dumps(MAIL) + "}" * levels
        content = json.dumps(body)[:-1] + f', "metadata": {nested}' + "}"
        answer = await guarded.client.post(
            path,
            content=content.encode(),
            headers={"content-type": "application/json", "cache-control": "no-store"},
        )
        assert answer.status_code == status, (levels, answer.text)
        if status == 400:
            error = answer.json()["error"]
            assert "metadata is nested too deeply" in error["message"]
            assert error.get("param", "metadata") == "metadata"
            assert rails_of(await last_record()) == [("personal_data", "input", "refused")]
    assert len(guarded.upstream.chats) == 1
    assert MAIL not in json.dumps(guarded.upstream.chats)


@pytest.mark.parametrize("path", [CHATS, MESSAGES, "/complete"])
async def test_what_the_model_flags_is_refused_in_each_api_s_form(
    path: str, guarded: Guarded
) -> None:
    await guarded.with_rails("moderation")
    if path == "/complete":
        answer = await guarded.client.post(path, json={"prompt": "How to attack?"})
        body = answer.json()
        assert "violence (0.95)" in body["detail"]
        assert body["status_code"] == 400
    else:
        answer = await guarded.ask("How to attack?", path)
        error = answer.json()["error"]
        assert "violence (0.95)" in error["message"]
        if path == CHATS:
            assert error["code"] == "guardrail_refused"
    assert answer.status_code == 400
    assert not guarded.upstream.chats
    record = await last_record()
    assert rails_of(record) == [("moderation", "input", "refused")]
    assert (record.status, record.error_code, record.cost) == ("error", "guardrail_refused", 0)
    assert await RequestRecord.objects.acount() == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_an_answer_that_is_refused_is_not_given_and_is_paid(
    stream: bool, guarded: Guarded
) -> None:
    await guarded.with_rails("moderation")
    guarded.upstream.answer = "You attack at dawn."
    answer = await guarded.ask("When?", stream=stream)
    assert answer.status_code == 400
    assert "dawn" not in answer.text
    record = await last_record()
    assert rails_of(record) == [
        ("moderation", "input", "passed"),
        ("moderation", "output", "refused"),
    ]
    assert record.cost
    assert record.cost > 0
    operator = await logged_in("operator")
    page = await operator.get(reverse("admin:analytics_requestrecord_change", args=[record.pk]))
    shown = page.content.decode()
    assert 'id="guardrails"' in shown
    assert "violence (0.95) (openai/omni-moderation-latest)" in shown


async def test_a_stream_that_passes_is_given_whole_or_noted_at_its_end(guarded: Guarded) -> None:
    await guarded.with_rails("moderation", guardrail_moderation_streams="note")
    guarded.upstream.answer = "You attack at dawn."
    answer = await guarded.ask("When?", stream=True)
    assert streamed_text(answer) == "You attack at dawn."
    record = await last_record()
    assert rails_of(record)[-1] == ("moderation", "output", "refused")
    assert record.status == "ok"


async def test_thresholds_by_category_and_for_all_others(guarded: Guarded) -> None:
    limits = {"violence": 0.99, "*": 0.15}
    await guarded.with_rails("moderation", guardrail_moderation_thresholds=limits)
    answer = await guarded.ask("How to attack?")
    assert answer.status_code == 400
    assert "hate (0.20, allowed below 0.15)" in answer.text
    assert "violence" not in answer.text


@pytest.mark.parametrize("reply", [openai_error(500), Reply({"results": []}), Reply({"a": 1})])
@pytest.mark.parametrize("opens", [False, True])
async def test_moderation_that_fails_refuses_or_lets_pass(
    reply: Reply, opens: bool, guarded: Guarded
) -> None:
    names = ["moderation"] if opens else []
    await guarded.with_rails("moderation", guardrails_open=names)
    guarded.upstream.moderation = reply
    answer = await guarded.ask()
    assert answer.status_code == (200 if opens else 503)
    verdict = "failed_open" if opens else "failed_closed"
    assert rails_of(await last_record())[0] == ("moderation", "input", verdict)


async def test_in_their_order_the_second_sees_what_the_first_left(guarded: Guarded) -> None:
    await guarded.with_rails("personal_data", "moderation")
    answer = await guarded.ask()
    assert WORDS in answer.text
    assert guarded.upstream.moderated == [[MASKED], [MASKED]]
    assert rails_of(await last_record()) == [
        ("personal_data", "input", "changed"),
        ("moderation", "input", "passed"),
        ("moderation", "output", "passed"),
    ]


async def test_what_is_passed_on_unread_is_off(guarded: Guarded) -> None:
    await guarded.with_rails("personal_data")
    answer = await guarded.client.post(
        "/v1/files", files={"file": ("a.txt", b"words")}, data={"purpose": "user_data"}
    )
    assert answer.status_code == 403
    assert "Guard rails are on" in answer.json()["error"]["message"]
    body: dict[str, Any] = {
        "model": "claude-haiku-5-5",
        "messages": [{"role": "user", "content": WORDS}],
    }
    counted = await guarded.client.post("/v1/messages/count_tokens", json=body)
    assert counted.json()["input_tokens"] > 0
    assert not guarded.upstream.chats


async def test_a_request_that_passed_a_rail_and_is_not_called_holds_nothing(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    await guarded.with_rails("personal_data")
    await limit("1")

    async def refuse(*_: Any) -> None:
        assert await BudgetHold.objects.aexists()
        raise BudgetsUnavailable("no")

    monkeypatch.setattr(Reservation, "authorize", refuse)
    assert (await guarded.ask()).status_code == 503
    assert not await BudgetHold.objects.aexists()


async def test_without_rails_nothing_stands_in_the_way(guarded: Guarded) -> None:
    await guarded.with_rails()
    assert get_services().caller.guard is None
    assert WORDS in (await guarded.ask()).text
    record = await last_record()
    assert (record.attempts, record.guardrails) == ([], None)
