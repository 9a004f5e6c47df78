"""The semantic cache: the same question in other words, and nothing else."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.models import CachedResponse, RequestRecord
from optimizer.gateway.cache.semantic.embedding import semantic_available
from optimizer.gateway.cache.semantic.index import SemanticIndex
from optimizer.gateway.cache.semantic.wording import may_share_answer, wording_of
from optimizer.wiring.build import get_services
from tests.conftest import Start, stop_services
from tests.fakes.server import FakeProvider
from tests.optimizer.api.compat.conftest import on_a_port

MODEL = "z-ai/glm-5.3-flash"
FIRST = "How do I reverse a list in Python?"
AGAIN = "How can a list be reversed in Python?"


def share(one: str, other: str) -> bool:
    found = {
        may_share_answer(wording_of(a), wording_of(b), lambda x, y: float(x == y), 0.6)
        for a, b in ((one, other), (other, one))
    }
    assert len(found) == 1, "the order of the questions may not matter"
    return found.pop()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (FIRST, AGAIN),
        ("What is the speed of light in a vacuum?", "In a vacuum, what is the speed of light?"),
        ("What is 15 percent of 80?", "How much is 15% of 80?"),
        ("Who wrote Romeo and Juliet?", "Romeo and Juliet: who wrote it?"),
    ],
)
def test_the_same_in_other_words(one: str, other: str) -> None:
    assert share(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 15 percent of 80?", "What is 15 percent of 90?"),
        ("What is 15 percent of 80?", "80 is 15 percent of what?"),
        ("Convert 10 miles to kilometres.", "Convert 10 kilometres to miles."),
        ("Translate French to English", "Translate English to French"),
        ("Is it safe?", "Is it not safe?"),
        ("When did the war end?", "Why did the war end?"),
        ("Can I return it after 30 days?", "Can I return it within 30 days?"),
        ("How do I enable dark mode?", "How do I disable dark mode?"),
        ("Sort a list in Python", "Sort a list in Ruby"),
    ],
)
def test_what_turns_a_question_into_another(one: str, other: str) -> None:
    assert not share(one, other)


@given(st.text(max_size=60))
def test_every_text_means_what_it_means(text: str) -> None:
    assert share(text, text)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_two_texts_can_be_compared(one: str, other: str) -> None:
    share(one, other)


def test_the_index_finds_the_nearest_of_its_context_and_forgets_the_oldest() -> None:
    index = SemanticIndex(limit=3)
    axes = np.eye(4, dtype=np.float32)
    for place, (context, key) in enumerate([("a", "k0"), ("b", "k1"), ("b", "k2")]):
        index.add(context, axes[place], f"p{place}", key)
    between = (axes[1] + axes[2] * 0.9) / np.linalg.norm(axes[1] + axes[2] * 0.9)
    assert [key for _, _, key in index.nearest("b", between, 0.5)] == ["k1", "k2"]
    assert list(index.nearest("a", axes[1], 0.5)) == []
    index.add("b", axes[3], "p3", "k3")
    assert "k0" not in index
    assert list(index.nearest("a", axes[0], 0.5)) == []
    index.add("b", axes[0], "p4", "k4")
    assert [key for _, _, key in index.nearest("b", between, 0.5)] == ["k2"]
    assert [key for _, _, key in index.nearest("b", axes[0], 0.5)] == ["k4"]
    assert len(index) == 3


needs_embeddings = pytest.mark.skipif(
    not semantic_available(), reason="the embeddings' package is not installed"
)


@pytest.fixture
def _on(settings: Any, transactional_db: None, fakes: dict[str, FakeProvider]) -> None:
    settings.SEMANTIC_CACHE = True


async def cache_status(sdk: openai.AsyncOpenAI, prompt: str, **change: Any) -> str:
    messages = [{"role": "user", "content": prompt}]
    raw = await sdk.chat.completions.with_raw_response.create(
        **{"model": MODEL, "messages": messages, **change}
    )
    return raw.headers["x-optimizer-cache"].partition(";")[0]


@needs_embeddings
@pytest.mark.usefixtures("_on")
async def test_a_chat_is_answered_from_another_wording(fakes: dict[str, FakeProvider]) -> None:
    async with (
        on_a_port() as address,
        openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="x") as sdk,
    ):
        assert await cache_status(sdk, FIRST) == "miss"
        assert await cache_status(sdk, AGAIN) == "semantic"
        assert await cache_status(sdk, AGAIN, stream=True) == "semantic"
        assert await cache_status(sdk, FIRST) == "hit"
        off = {"extra_body": {"optimizer": {"semantic_cache": False}}}
        for prompt, change in (
            ("How do I reverse a string in Python?", {}),
            (AGAIN, {"temperature": 0.1}),
            (AGAIN, off),
            (AGAIN, {"extra_headers": {"Cache-Control": "no-cache"}}),
        ):
            assert await cache_status(sdk, prompt, **change) == "miss"
        system = {"role": "system", "content": "Answer in French."}
        messages = [system, {"role": "user", "content": AGAIN}]
        assert await cache_status(sdk, "", messages=messages) == "miss"
    record = await RequestRecord.objects.filter(prompt=AGAIN).order_by("id").afirst()
    assert record is not None
    assert (record.cache_hit, record.cost, record.confidence) == (True, 0, "medium")
    entry = await CachedResponse.objects.aget(prompt=FIRST)
    assert record.cache_key == entry.cache_key
    assert entry.hit_count == 3


@needs_embeddings
@pytest.mark.usefixtures("_on")
async def test_complete_is_answered_from_another_wording_too(start: Start) -> None:
    client = await start()

    async def ask(prompt: str) -> Any:
        return (await client.post("/complete", json={"prompt": prompt})).json()

    first, second = await ask(FIRST), await ask(AGAIN)
    assert second["cache_hit"] is True
    assert second["savings"] == first["cost"] > 0
    assert "in other words" in second["routing_metadata"]["reasoning"]
    assert 0.75 <= second["routing_metadata"]["likeness"] <= 1
    # A bad answer is given to nobody any more, whichever way it was asked for.
    for _ in range(3):
        vote = {"request_id": second["request_id"], "rating": -1}
        assert (await client.post("/feedback", json=vote)).status_code == 200
    assert (await ask(AGAIN))["cache_hit"] is False


@needs_embeddings
@pytest.mark.usefixtures("_on")
async def test_what_was_stored_before_is_known_after_a_start(start: Start) -> None:
    client: httpx.AsyncClient = await start()
    await client.post("/complete", json={"prompt": FIRST})
    await get_services().in_background(get_services().semantic.refresh)
    await stop_services()
    again = await start()
    assert len(get_services().semantic) == 1
    answer = (await again.post("/complete", json={"prompt": AGAIN})).json()
    assert answer["cache_hit"] is True


async def test_off_by_default(client: httpx.AsyncClient) -> None:
    assert get_services().semantic is None
    await client.post("/complete", json={"prompt": FIRST})
    assert (await client.post("/complete", json={"prompt": AGAIN})).json()["cache_hit"] is False
    assert (await CachedResponse.objects.afirst()).semantic_key == ""
