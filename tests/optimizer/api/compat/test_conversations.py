"""Every client's wire served by every provider's wire: one suite of conversations for all pairs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from analytics.models import RequestRecord
from optimizer.wiring.build import get_services
from providers.completion import Usage
from tests.fakes.answers import ANSWERS, Call
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.streams import torn
from tests.fakes.wires import as_asked
from tests.optimizer.api.compat.drivers import DRIVERS, Said, Turn

MODELS = {
    "openrouter": "openrouter/z-ai/glm-5.3-flash",
    "claude": "claude/claude-haiku-4-5",
    "gemini": "gemini/gemini-3.5-flash-lite",
}
USAGES = {
    "openrouter": Usage(20, 9, 4, 0, 2),
    "claude": Usage(20, 9, 4, 3),
    "gemini": Usage(20, 9, 4, 0, 2),
}
CALLS: list[Call] = [("call_a", "weather", {"city": "Zürich"}), ("call_b", "time", {"zone": "CET"})]
UNICODE = "Zürich 🗼 東京, naïve \u2028 👩‍👩‍👧 and \U0001f468\u200d\U0001f680"


class Pair:
    """A client of one wire, and the fake provider of another that shall answer it."""

    def __init__(self, client: Any, provider: str, fake: FakeProvider) -> None:
        self.client, self.provider, self.fake = client, provider, fake

    def will_answer(
        self,
        text: str = "",
        calls: list[Call] | None = None,
        ending: str = "stop",
        tear: bool = False,
        **how: Any,
    ) -> None:
        body = ANSWERS[self.provider](text, calls or [], ending)
        if not how.get("usage", True):
            body.pop("usage", None)
            body.pop("usageMetadata", None)
        inner = self.fake.wire

        def wire(asked: Asked) -> Reply:
            self.fake.wire = inner
            refused = inner(asked)
            reply = refused if refused.status != 200 else as_asked(asked, body, **how)
            if tear and reply.chunks is not None:
                return replace(reply, chunks=torn(list(reply.chunks)))
            return reply

        self.fake.wire = wire

    async def say(self, *turns: Turn, **more: Any) -> Said:
        return await self.client.say(MODELS[self.provider], list(turns), **more)

    @property
    def asked(self) -> dict[str, Any]:
        return self.fake.asked[-1].body


@pytest.fixture(params=list(MODELS))
def provider(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[f"{name} {how}" for name in DRIVERS for how in ("whole", "streamed")])
async def pair(
    request: pytest.FixtureRequest, provider: str, served: str, fakes: dict[str, FakeProvider]
) -> AsyncIterator[Pair]:
    name, how = request.param.split()
    client = DRIVERS[name](served, streamed=how == "streamed")
    yield Pair(client, provider, fakes[provider])
    await client.close()


async def test_a_question_with_a_system_prompt(pair: Pair) -> None:
    pair.will_answer(UNICODE)
    said = await pair.say(("system", "Be brief."), ("user", f"Repeat: {UNICODE}"))
    assert (said.text, said.calls, said.ending) == (UNICODE, [], pair.client.endings["stop"])
    assert (said.tokens_in, said.tokens_out) == (20, 9)
    sent = json.dumps(pair.asked, ensure_ascii=False)
    assert "Be brief." in sent
    assert f"Repeat: {UNICODE}".replace("\u2028", "\\u2028") in sent.replace("\u2028", "\\u2028")
    record = await RequestRecord.objects.aget()
    model = MODELS[pair.provider].removeprefix(f"{pair.provider}/")
    assert (record.provider, record.model, record.strategy) == (pair.provider, model, "named")
    assert record.prompt == f"Repeat: {UNICODE}"
    usage = USAGES[pair.provider]
    assert record.cost == get_services().prices.cost(pair.provider, model, usage)
    assert record.streamed is pair.client.streamed


async def test_characters_that_are_torn_apart_on_the_way_arrive_whole(pair: Pair) -> None:
    pair.will_answer(UNICODE, tear=True)
    said = await pair.say(("user", "Say something."))
    assert said.text == UNICODE


async def test_tools_are_called_together_and_their_results_answered(pair: Pair) -> None:
    pair.will_answer("I look.", CALLS)
    question: Turn = ("user", "Weather and time in Zürich?")
    said = await pair.say(question, tools=True)
    assert (said.text, said.ending) == ("I look.", pair.client.endings["calls"])
    assert [call[1:] for call in said.calls] == [call[1:] for call in CALLS]
    assert [call[0] for call in said.calls] == [call[0] for call in CALLS]
    assert all(name in json.dumps(pair.asked) for name in ("weather", "time", "properties"))
    pair.will_answer("Sunny, noon.")
    said = await pair.say(
        question,
        ("calls", said.text, said.calls),
        ("results", {"call_a": "sunny", "call_b": "noon"}),
        tools=True,
    )
    assert said.text == "Sunny, noon."
    assert results_of(pair.provider, pair.asked) == {"call_a": "sunny", "call_b": "noon"}


def results_of(provider: str, body: dict[str, Any]) -> dict[str, str]:
    """What the provider was told that the tools gave back, by the call's id."""
    if provider == "openrouter":
        told = [m for m in body["messages"] if m["role"] == "tool"]
        return {m["tool_call_id"]: m["content"] for m in told}
    if provider == "claude":
        blocks = [b for m in body["messages"] if m["role"] == "user" for b in m["content"]]
        results = [b for b in blocks if isinstance(b, dict) and b["type"] == "tool_result"]
        found = {}
        for block in results:
            content = block["content"]
            text = content if isinstance(content, str) else content[0]["text"]
            found[block["tool_use_id"]] = text
        return found
    parts = [p["functionResponse"] for c in body["contents"] for p in c["parts"]
             if "functionResponse" in p]  # fmt: skip
    assert {p["name"] for p in parts} == {"weather", "time"}
    return {p["id"]: p["response"]["output"] for p in parts}


async def test_an_answer_of_a_schema(pair: Pair) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    pair.will_answer('{"city": "Paris"}')
    said = await pair.say(("user", "The capital of France, as JSON."), schema=schema)
    assert json.loads(said.text) == {"city": "Paris"}
    assert json.dumps(schema) in json.dumps(pair.asked)


async def test_an_empty_answer_is_an_answer(pair: Pair) -> None:
    pair.will_answer("")
    said = await pair.say(("user", "Say nothing."))
    assert (said.text, said.calls, said.ending) == ("", [], pair.client.endings["stop"])


async def test_an_answer_cut_short_says_so(pair: Pair) -> None:
    pair.will_answer("The capital of", ending="length")
    said = await pair.say(("user", "The capital of France?"))
    assert (said.text, said.ending) == ("The capital of", pair.client.endings["length"])


async def test_usage_that_nobody_reports_is_estimated(pair: Pair) -> None:
    pair.will_answer("The capital of France is Paris.", usage=False)
    said = await pair.say(("user", "The capital of France?"))
    assert said.text == "The capital of France is Paris."
    # Providers add about four tokens to a single message.
    assert (said.tokens_in, said.tokens_out) == (10, 7)
    record = await RequestRecord.objects.aget()
    assert record.usage_estimated
    assert record.cost > 0


IMAGE = "iVBORw0KGgo="


def with_image(client: Any) -> list[Any]:
    """A text and an image as the client's API has them."""
    name = type(client).__name__
    if name == "OpenAIChat":
        url = {"url": f"data:image/png;base64,{IMAGE}"}
        return [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": url}]
    if name == "OpenAIResponses":
        return [
            {"type": "input_text", "text": "What?"},
            {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}"},
        ]
    source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
    return [{"type": "text", "text": "What?"}, {"type": "image", "source": source}]


async def test_an_image_is_seen_or_refused(pair: Pair) -> None:
    content = with_image(pair.client)
    if pair.provider == "openrouter":  # its model is blind
        with pytest.raises(Exception, match="lacks vision") as raised:
            await pair.say(("user", content))
        assert getattr(raised.value, "status_code", None) == 400
        assert not pair.fake.asked
        return
    pair.will_answer("A cat.")
    assert (await pair.say(("user", content))).text == "A cat."
    if pair.provider == "claude":
        blocks = pair.asked["messages"][0]["content"]
        assert [b["type"] for b in blocks] == ["text", "image"]
        assert blocks[1]["source"] == {
            "type": "base64", "media_type": "image/png", "data": IMAGE,
        }  # fmt: skip
    else:
        assert pair.asked["contents"][0]["parts"] == [
            {"text": "What?"}, {"inlineData": {"mimeType": "image/png", "data": IMAGE}},
        ]  # fmt: skip
    assert (await RequestRecord.objects.aget()).prompt == "What?"
