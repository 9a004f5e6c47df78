"""The caches with guard rails: one person's values stay theirs, and every answer is checked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from analytics.models import CachedResponse
from optimizer.gateway.cache.semantic.embedding import semantic_available
from tests.conftest import Start, stop_services
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import KEY
from tests.optimizer.gateway.test_guardrails import CHATS, MAIL, OTHER, Upstream

pytestmark = pytest.mark.django_db(transaction=True)

MAILS = "tests.optimizer.gateway.test_guardrails:emails"


class CachedChats:
    """A service with caches, which can be started again with other rails."""

    def __init__(self, start: Start, settings: Any, upstream: Upstream) -> None:
        self._start, self.settings, self.upstream = start, settings, upstream
        self.client: httpx.AsyncClient

    async def begin(self, *rails: str, **changes: Any) -> None:
        await stop_services()
        self.settings.GUARDRAILS = list(rails)
        self.settings.GUARDRAIL_PERSONAL_DATA = MAILS
        for name, value in changes.items():
            setattr(self.settings, name.upper(), value)
        self.client = await self._start()

    async def ask(self, text: str, **body: Any) -> tuple[str, str]:
        """Return how the cache was used, and the answer."""
        answer = await self.client.post(
            CHATS,
            json={
                "model": "gpt-6-luna",
                "messages": [{"role": "user", "content": text}],
                "max_tokens": 99,
                **body,
            },
        )
        return answer.headers.get("x-optimizer-cache", "").partition(";")[0], answer.text


@pytest.fixture
async def chats(
    start: Start, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> AsyncIterator[CachedChats]:
    upstream = Upstream()
    settings.SEMANTIC_CACHE = semantic_available()
    async with FakeProvider(upstream) as fake:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
        yield CachedChats(start, settings, upstream)


@pytest.mark.skipif(not semantic_available(), reason="the embeddings' package is not installed")
async def test_a_like_question_with_another_person_s_values_is_no_hit(chats: CachedChats) -> None:
    await chats.begin("personal_data")
    for first, second in (
        (f"Write a reminder mail to {MAIL} please", f"Please write a reminder mail to {OTHER}"),
        (f"Write a reminder mail to {MAIL}, please", "Please write a reminder mail to mail"),
    ):
        assert (await chats.ask(first))[0] == "miss"
        status, answer = await chats.ask(second)
        assert status == "miss"
        assert MAIL not in answer
    assert (await chats.ask(f"Write a reminder mail to {MAIL} please"))[0] == "hit"
    stored = [entry async for entry in CachedResponse.objects.filter(prompt__contains="@")]
    assert stored
    assert {entry.semantic_key for entry in stored} == {""}


@pytest.mark.skipif(not semantic_available(), reason="the embeddings' package is not installed")
async def test_questions_without_personal_data_still_have_hits_by_meaning(
    chats: CachedChats,
) -> None:
    await chats.begin("personal_data")
    assert (await chats.ask("How do I reverse a list in Python?"))[0] == "miss"
    assert (await chats.ask("How can a list be reversed in Python?"))[0] == "semantic"


async def test_the_user_s_own_address_is_in_no_answer_that_others_may_get(
    chats: CachedChats,
) -> None:
    """The user is not in the cache's key, because no model reads it."""
    await chats.begin("personal_data")
    guess = "Say <EMAIL_1> and <EMAIL_2>"
    status, answer = await chats.ask(guess, user=MAIL, metadata={"mail": MAIL})
    assert status == "miss"
    assert MAIL not in answer
    status, answer = await chats.ask(guess, user=OTHER)
    assert status == "hit"
    assert MAIL not in answer


async def test_an_address_in_words_and_in_the_user_comes_back(chats: CachedChats) -> None:
    await chats.begin("personal_data")
    assert MAIL in (await chats.ask(f"Mail {MAIL}", user=MAIL))[1]
    assert chats.upstream.chats[-1]["user"] == "<EMAIL_1>"


async def test_answers_of_before_do_not_pass_rails_that_were_switched_on(
    chats: CachedChats,
) -> None:
    await chats.begin()
    chats.upstream.answer = "You attack at dawn."
    assert (await chats.ask("When?"))[0] == "miss"
    assert (await chats.ask("When?"))[0] == "hit"
    await chats.begin("moderation")
    status, answer = await chats.ask("When?")
    assert status != "hit"
    assert "guardrail_refused" in answer


@pytest.mark.parametrize(
    "change",
    [
        {"guardrail_moderation_thresholds": {"violence": 0.9}},
        {"guardrail_moderation_model": "openai/omni-moderation-2024-09-26"},
        {"guardrail_moderation_stages": ["input", "output"]},
    ],
)
async def test_answers_are_checked_again_once_a_rail_has_changed(
    change: dict[str, Any], chats: CachedChats
) -> None:
    await chats.begin(
        "moderation",
        guardrail_moderation_thresholds={"violence": 0.99},
        guardrail_moderation_stages=["output"],
    )
    assert (await chats.ask("Is it calm?"))[0] == "miss"
    assert (await chats.ask("Is it calm?"))[0] == "hit"
    await chats.begin("moderation", **change)
    assert (await chats.ask("Is it calm?"))[0] == "miss"
    await chats.begin("moderation")
    assert (await chats.ask("Is it calm?"))[0] == "hit"


async def test_a_custom_finder_and_restoring_are_of_the_key_too(chats: CachedChats) -> None:
    await chats.begin("personal_data")
    assert (await chats.ask(f"Mail {MAIL}"))[0] == "miss"
    await chats.begin("personal_data", guardrail_restore=False)
    status, answer = await chats.ask(f"Mail {MAIL}")
    assert status == "miss"
    assert MAIL not in answer


async def test_what_a_rail_noted_or_could_not_check_is_given_to_nobody_else(
    chats: CachedChats,
) -> None:
    await chats.begin("moderation", guardrail_moderation_streams="note")
    chats.upstream.answer = "You attack at dawn."
    assert "dawn" in (await chats.ask("When?", stream=True))[1]
    status, answer = await chats.ask("When?")
    assert status != "hit"
    assert "guardrail_refused" in answer
    chats.upstream.answer = "You rest."
    await chats.begin("moderation", guardrails_open=["moderation"])
    chats.upstream.moderation = Reply({"a": 1})
    assert (await chats.ask("And then?"))[0] == "miss"
    assert (await chats.ask("And then?"))[0] == "miss"
    chats.upstream.moderation = None
    assert (await chats.ask("And then?"))[0] == "miss"
    assert (await chats.ask("And then?"))[0] == "hit"


@pytest.mark.skipif(not semantic_available(), reason="the embeddings' package is not installed")
async def test_a_request_without_any_turn_has_no_like_question(chats: CachedChats) -> None:
    await chats.begin()
    for body in ({}, {"input": []}, {"messages": []}):
        answer = await chats.client.post("/v1/responses", json={"model": "gpt-6-luna", **body})
        assert answer.status_code != 500, answer.text
