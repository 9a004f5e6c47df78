"""Fakes of OpenAI and Anthropic that keep batches, files and responses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.access.keys import key_make
from analytics.models import ApiKey, Team
from optimizer.wiring.build import get_services
from tests.conftest import KEY, Start
from tests.fakes.server import Asked, FakeProvider, Reply

Answers = dict[tuple[str, str], Any]


def kept_by(answers: Answers) -> Callable[[Asked], Reply]:
    """Answers by method and path; a value may be a :class:`Reply`."""

    def wire(asked: Asked) -> Reply:
        answer = answers.get((asked.method, asked.path))
        if answer is None:
            return Reply({"error": {"message": "No such object", "type": "x"}}, 404)
        return answer if isinstance(answer, Reply) else Reply(answer)

    return wire


@pytest.fixture
def openai_answers() -> Answers:
    return {}


@pytest.fixture
def claude_answers() -> Answers:
    return {}


@pytest.fixture
async def openai_fake(
    monkeypatch: pytest.MonkeyPatch, openai_answers: Answers
) -> AsyncIterator[FakeProvider]:
    async with FakeProvider(kept_by(openai_answers)) as fake:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
        yield fake


@pytest.fixture
async def claude_fake(
    monkeypatch: pytest.MonkeyPatch, claude_answers: Answers
) -> AsyncIterator[FakeProvider]:
    async with FakeProvider(kept_by(claude_answers)) as fake:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        yield fake


@pytest.fixture
async def client(
    transactional_db: None, openai_fake: FakeProvider, claude_fake: FakeProvider, start: Start
) -> httpx.AsyncClient:
    """The service over both fakes."""
    return await start()


async def key_of(team: str, **fields: Any) -> dict[str, str]:
    """The headers of a new key of a team."""
    its_team, _ = await Team.objects.aget_or_create(name=team)
    made = await sync_to_async(key_make)(ApiKey(name=team, team=its_team, **fields))
    await sync_to_async(get_services().api_keys.refresh)()
    return {"authorization": f"Bearer {made.secret}"}
