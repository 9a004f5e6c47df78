"""Masking: personal data does not reach the tables; whatever the hook does, records do."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from django.core.exceptions import ImproperlyConfigured

from analytics.models import CachedResponse, RequestRecord
from analytics.privacy.masking import load_mask, mask_prompts
from tests.conftest import Start
from tests.factories import CachedResponseFactory, RequestRecordFactory
from tests.fakes.server import FakeProvider

SECRET = "I am ann@example.com. Who are you?"


def shout(text: str) -> str:
    """A hook of somebody's own."""
    return text.replace("ann@example.com", "<NAME>")


def fail(text: str) -> str:
    raise RuntimeError(text)


def say_nothing(text: str) -> Any:
    return None


HERE = "tests.analytics.privacy.test_masking"


@pytest.fixture
async def masked(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings: Any
) -> httpx.AsyncClient:
    settings.MASKING = f"{HERE}:shout"
    return await start()


async def test_prompts_are_masked_in_the_tables_and_not_for_the_provider(
    masked: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    first = await masked.post("/complete", json={"prompt": SECRET})
    again = await masked.post("/complete", json={"prompt": SECRET})
    assert (first.status_code, again.json()["cache_hit"]) == (200, True)
    async for record in RequestRecord.objects.all():
        assert record.prompt == "I am <NAME>. Who are you?"
    assert (await CachedResponse.objects.aget()).prompt == "I am <NAME>. Who are you?"
    assert any(SECRET in str(asked.body) for fake in fakes.values() for asked in fake.asked)


def test_what_was_masked_is_not_shared_with_other_words() -> None:
    mask = load_mask(f"{HERE}:shout")
    assert mask is not None
    hidden = CachedResponseFactory.build(semantic_key="k", prompt=SECRET)
    mask_prompts(RequestRecordFactory.build(prompt=SECRET), hidden, mask)
    assert hidden.semantic_key == ""
    plain = CachedResponseFactory.build(semantic_key="k", prompt="What is it?")
    mask_prompts(RequestRecordFactory.build(prompt="What is it?"), plain, mask)
    assert (plain.semantic_key, plain.prompt) == ("k", "What is it?")


@pytest.mark.parametrize("hook", ["fail", "say_nothing"])
async def test_where_the_hook_fails_the_record_is_written_without_the_prompt(
    hook: str, transactional_db: None, fakes: dict[str, FakeProvider], start: Start,
    settings: Any, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    settings.MASKING = f"{HERE}:{hook}"
    client = await start()
    assert (await client.post("/complete", json={"prompt": SECRET})).status_code == 200
    assert (await RequestRecord.objects.aget()).prompt == ""
    assert "ann@example.com" not in caplog.text


@pytest.mark.parametrize("spec", ["nothing", "no.such:thing", f"{HERE}:nothing", f"{HERE}:HERE"])
def test_a_hook_that_is_none_is_said_at_the_start(spec: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="MASKING"):
        load_mask(spec)


def test_presidio_hides_what_it_recognizes() -> None:
    pytest.importorskip("presidio_analyzer")
    mask = load_mask("presidio")
    assert mask is not None
    text = (
        "Mail ann@example.com, card 4111 1111 1111 1111, IBAN DE89370400440532013000, "
        "from 10.1.2.3, phone +49 30 901820."
    )
    assert mask(text) == (
        "Mail <EMAIL_ADDRESS>, card <CREDIT_CARD>, IBAN <IBAN_CODE>, from <IP_ADDRESS>, "
        "phone <PHONE_NUMBER>."
    )
    assert mask("What is the capital of France?") == "What is the capital of France?"
