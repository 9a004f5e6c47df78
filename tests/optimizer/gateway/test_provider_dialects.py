"""The providers of the catalogue with OpenAI's API: each is answered by, paid and told of right."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from genai_prices import Usage, calc_price, data_snapshot

from analytics.models import RequestRecord
from providers.catalogue import load_catalogue
from providers.pricing import PriceBook
from tests.conftest import Start
from tests.fakes.dialects import DIALECTS, THOUGHT, TOOL_NAME, Dialect
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import ANSWER, KEY

CHATS = "/v1/chat/completions"
ASK = [{"role": "user", "content": "What is the capital of France?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": TOOL_NAME,
        "description": "Look.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"at": {"type": "string"}},
            "required": ["at"],
            "additionalProperties": False,
        },
    },
}
# Providers whose models only their users know.
UNLISTED = {"nvidia", "lmstudio", "llamacpp"}
OWN_MODELS = "".join(
    f'[[models]]\nprovider = "{name}"\nid = "some-model"\ntier = "simple"\n'
    'context_window = 8192\ncapabilities = ["tools", "json"]\n'
    'price = { input = "1", output = "2" }\n'
    for name in sorted(UNLISTED)
)


class Reached:
    """The service with one provider, and a fake of that."""

    def __init__(self, dialect: Dialect, fake: FakeProvider, client: httpx.AsyncClient) -> None:
        self.dialect = dialect
        self.fake = fake
        self._client = client

    async def ask(self, path: str = CHATS, **body: Any) -> httpx.Response:
        headers = {"cache-control": "no-store"}
        return await self._client.post(path, json=body, headers=headers)

    async def paid(self) -> RequestRecord:
        """The record of the last request; its cost is that of the price list."""
        record = await RequestRecord.objects.order_by("-created_at").afirst()
        assert record is not None
        given, cached, written = self.dialect.counts
        counted = (record.tokens_in, record.cache_read_tokens, record.tokens_out)
        assert counted == (given, cached, written)
        assert record.provider == self.dialect.provider
        assert record.cost == listed_cost(record.provider, record.model, self.dialect.counts)
        assert record.price_basis == "table"
        assert not record.usage_estimated
        return record


def listed_cost(provider: str, model: str, counts: tuple[int, int, int]) -> Decimal:
    """What the price package asks for the tokens; of models it does not know, the catalogue."""
    catalogue, (given, cached, written) = load_catalogue(), counts
    if prices := catalogue.providers[provider].prices:
        usage = Usage(input_tokens=given, cache_read_tokens=cached, output_tokens=written)
        return calc_price(usage, model, provider_id=prices).total_price
    spec = catalogue.find(provider, model)
    price = (spec and spec.price) or {"input": Decimal(1), "output": Decimal(2)}
    total = (given - cached) * price["input"] + written * price["output"]
    return (total + cached * price.get("cache_read", price["input"])) / 1_000_000


@pytest.fixture(params=DIALECTS, ids=lambda dialect: dialect.provider)
async def reached(
    request: pytest.FixtureRequest,
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    tmp_path: Path,
    start: Start,
) -> AsyncIterator[Reached]:
    dialect: Dialect = request.param
    settings.PROVIDER_RETRIES = 0
    if dialect.provider in UNLISTED:
        path = tmp_path / "own.toml"
        path.write_text(OWN_MODELS)
        settings.CATALOGUE_FILE = str(path)
    async with FakeProvider(dialect.wire) as fake:
        monkeypatch.setenv(f"{dialect.variable}_BASE_URL", f"{fake.url}{dialect.path}")
        if dialect.key:
            monkeypatch.setenv(dialect.key, KEY)
        yield Reached(dialect, fake, await start())


def rich(dialect: Dialect) -> dict[str, Any]:
    """A request with what many clients send."""
    body: dict[str, Any] = {
        "model": "auto", "messages": [{**ASK[0], "name": "Ann"}], "max_tokens": 300,
        "temperature": 0, "seed": 7, "user": "u1", "presence_penalty": 0.5,
        "logit_bias": {"50256": -100}, "reasoning_effort": "high", "metadata": {"run": "1"},
        "store": True, "tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False,
    }  # fmt: skip
    return {**body, "stop": ["END", "STOP"]} if dialect.stops else body


async def test_a_whole_answer(reached: Reached) -> None:
    answer = await reached.ask(model="auto", messages=ASK, temperature=0, max_tokens=300)
    assert answer.status_code == 200, answer.text
    message = answer.json()["choices"][0]["message"]
    assert message["content"] == ANSWER
    record = await reached.paid()
    assert Decimal(answer.headers["x-optimizer-cost"]) == record.cost


async def test_a_streamed_answer(reached: Reached) -> None:
    answer = await reached.ask(model="auto", messages=ASK, stream=True)
    assert answer.status_code == 200, answer.text
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line[:7] == "data: {"]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == ANSWER
    await reached.paid()


async def test_reasoning_stands_apart(reached: Reached) -> None:
    if not reached.dialect.reasoning:
        pytest.skip("it tells no reasoning")
    answer = await reached.ask(model="auto", messages=ASK)
    message = answer.json()["choices"][0]["message"]
    details = message.get("reasoning_details") or [{}]
    assert THOUGHT in (message.get("reasoning_content"), details[0].get("text"))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_is_called_and_its_result_taken(reached: Reached, stream: bool) -> None:
    body = {"model": "auto", "tools": [TOOL], "stream": stream}
    answer = await reached.ask(**body, messages=ASK)
    assert answer.status_code == 200, answer.text
    assert "Paris" in answer.text
    await reached.paid()
    # The call of another provider's model, in its form.
    call = {
        "id": "call_PTLP8xhu3uwZk4l3nlnrrJha", "type": "function",
        "function": {"name": TOOL_NAME, "arguments": '{"at": "Paris"}'},
    }  # fmt: skip
    turns = [
        *ASK,
        {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "It is Paris."},
    ]
    answer = await reached.ask(**body, messages=turns)
    assert answer.status_code == 200, answer.text
    sent = reached.fake.asked[-1].body["messages"]
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"]
    await reached.paid()


@pytest.mark.parametrize("stream", [False, True])
async def test_what_it_refuses_is_left_out_and_named(reached: Reached, stream: bool) -> None:
    answer = await reached.ask(**rich(reached.dialect), stream=stream)
    assert answer.status_code == 200, answer.text
    named = set(filter(None, answer.headers.get("x-optimizer-dropped", "").split(", ")))
    strict = {"tools.function.strict"} & named
    record = await reached.paid()
    own = load_catalogue().find(record.provider, record.model)
    lacks = {"reasoning_effort"} if own and "reasoning" in own.lacks else set()
    assert named - strict == reached.dialect.dropped | lacks


async def test_a_strict_request_goes_only_where_nothing_is_left_out(reached: Reached) -> None:
    body = rich(reached.dialect)
    answer = await reached.ask(**body, optimizer={"strict": True})
    labels = {"metadata", "store", "user"}
    leaves_out = reached.dialect.dropped - labels
    strict_tools = reached.dialect.provider in {"moonshot", "zai", "minimax"}
    assert answer.status_code == (400 if leaves_out or strict_tools else 200), answer.text


# What a client of OpenAI's API sends, and how it reaches the provider.
SPELLED: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("mistral", {"seed": 7, "max_tokens": 9}, {"random_seed": 7, "max_tokens": 9}),
    ("mistral", {"temperature": 1.5}, {"temperature": 1}),
    ("xai", {"n": 2, "seed": 7}, {"n": 2, "seed": 7}),
    ("cohere", {"seed": 7}, {"seed": 7}),
    ("moonshot", {"max_tokens": 9}, {"max_completion_tokens": 9}),
    ("zai", {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
    ("zai", {"stop": ["a", "b"]}, {"stop": ["a"]}),
    ("qwen", {"reasoning_effort": "none"}, {"enable_thinking": False}),
    ("minimax", {"temperature": 0}, {"temperature": 0.01, "reasoning_split": True}),
    ("minimax", {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
    ("minimax", {"max_tokens": 9}, {"max_completion_tokens": 9}),
    ("together", {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
    ("mistral", {"stream": True}, {"stream": True, "stream_options": None}),
)


@pytest.mark.parametrize(
    ("reached", "given", "sent"),
    [(next(d for d in DIALECTS if d.provider == name), *rest) for name, *rest in SPELLED],
    indirect=["reached"],
    ids=[f"{name}-{next(iter(given))}" for name, given, _ in SPELLED],
)
async def test_fields_arrive_as_the_provider_spells_them(
    reached: Reached, given: dict[str, Any], sent: dict[str, Any]
) -> None:
    answer = await reached.ask(model="auto", messages=ASK, **given)
    assert answer.status_code == 200, answer.text
    body = reached.fake.asked[-1].body
    assert {name: body.get(name) for name in sent} == sent
    assert not (given.keys() - sent.keys()) & body.keys()


async def test_a_named_model_gets_the_fields_that_its_server_knows(reached: Reached) -> None:
    """The request arrives as it came, unless the server refuses what it does not know."""
    models = {m.provider: m.id for m in load_catalogue().models}
    model = models.get(reached.dialect.provider, "some-model")
    body = {"model": model, "messages": ASK, "top_logprobs": None, "seed": 7, "tags": ["x"]}
    answer = await reached.ask(**body)
    sent = reached.fake.asked[-1].body
    if reached.dialect.provider in {"mistral", "cohere"}:
        assert answer.status_code == 200, answer.text
        assert "tags" not in sent
        assert "tags" in answer.headers["x-optimizer-dropped"]
    else:
        assert {name: sent.get(name) for name in body} == {**body, "messages": ASK}


async def test_its_own_words_say_what_was_wrong(reached: Reached) -> None:
    status, body = reached.dialect.error("seed")
    reached.fake.always(Reply(body, status))
    answer = await reached.ask(model="auto", messages=ASK)
    assert answer.status_code == 400, answer.text
    # On the client's own wire it comes as the provider gave it, whatever its form.
    assert "seed" in answer.text


@pytest.mark.parametrize(
    ("provider", "model"), [("mistral", "mistral-embed"), ("cohere", "embed-v4.0")]
)
async def test_embeddings(
    provider: str,
    model: str,
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
    start: Start,
) -> None:
    dialect = next(d for d in DIALECTS if d.provider == provider)
    async with FakeProvider(dialect.wire) as fake:
        monkeypatch.setenv(f"{dialect.variable}_BASE_URL", f"{fake.url}{dialect.path}")
        monkeypatch.setenv(dialect.key, KEY)
        client = await start()
        answer = await client.post("/v1/embeddings", json={"model": model, "input": "Paris"})
        assert answer.status_code == 200, answer.text
        record = await RequestRecord.objects.aget()
        assert record.cost == {"mistral": Decimal("0.0001"), "cohere": Decimal("0.00012")}[provider]


def test_the_prices_of_partners_are_those_of_the_price_package() -> None:
    snapshot, checked = data_snapshot.get_snapshot(), 0
    for model in load_catalogue().models:
        if model.provider != "huggingface":
            continue
        name, _, partner = model.id.partition(":")
        owner = next(p for p in snapshot.providers if p.id == f"huggingface_{partner}")
        info = owner.find_model(name, all_providers=snapshot.providers)
        assert info is not None
        assert model.price == {"input": info.prices.input_mtok, "output": info.prices.output_mtok}
        checked += 1
    assert checked >= 2


def test_every_listed_model_has_a_price() -> None:
    catalogue = load_catalogue()
    book = PriceBook(catalogue)
    for model in (*catalogue.models, *catalogue.embeddings):
        assert book.rates(model.provider, model.id) is not None, model.ref
