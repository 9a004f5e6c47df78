"""Getting started: what is missing, whether providers answer, and a first request to copy."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from django.test import AsyncClient, Client
from django.urls import reverse

from analytics.access.roles import OPERATOR, VIEWER
from analytics.models import RequestRecord
from optimizer.control_room.pages.first_run import snippets
from optimizer.presentation.connections.agents import NAMES
from tests.conftest import Start, logged_in
from tests.factories import RequestRecordFactory
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import ANSWER, anthropic_message
from tests.running import Running, own_database

PAGE, TEST = reverse("admin:start"), reverse("admin:test_connection")


@pytest.fixture
async def operator(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> AsyncClient:
    await start()
    return await logged_in(OPERATOR)


async def test_a_provider_that_answers_says_which_model_how_fast_and_for_how_much(
    operator: AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    said = (await operator.post(TEST, {"provider": "claude"})).json()
    assert said["works"]
    assert said["words"].startswith("It answers. claude-haiku-5-5 in ")
    record = await RequestRecord.objects.select_related("decision").aget()
    assert (record.tags, record.user_id, record.savings) == (
        ["connection test"], "the operator", 0,
    )  # fmt: skip
    assert str(record.pk) in said["story"]
    assert [len(fake.asked) for fake in fakes.values()].count(0) == 2


async def test_a_thinking_model_that_has_nothing_to_say_yet_answers_too(
    operator: AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    silent = anthropic_message("claude-haiku-5-5", content=[], stop_reason="max_tokens")
    fakes["claude"].always(Reply(silent))
    assert (await operator.post(TEST, {"provider": "claude"})).json()["works"]


@pytest.mark.django_db
def test_the_page_has_the_lines_of_each_agent(admin_client: Client) -> None:
    page = admin_client.get(PAGE).content.decode()
    for name in NAMES:
        assert f"manage.py connect {name}" in page
    assert "ANTHROPIC_BASE_URL=http://testserver" in page


@pytest.mark.parametrize(
    ("reply", "hint"),
    [
        (
            Reply({"error": {"message": "bad key dummy-key-for-tests"}}, status=401),
            "Check the key.",
        ),
        (Reply({"error": {"message": "no such model"}}, status=404), "Check the base URL."),
        (Reply(b"<html>a proxy</html>"), "is not in this provider's format"),
    ],
)
async def test_one_that_does_not_answer_says_why_and_what_to_look_at(
    operator: AsyncClient, fakes: dict[str, FakeProvider], reply: Reply, hint: str
) -> None:
    fakes["claude"].always(reply)
    response = await operator.post(TEST, {"provider": "claude"})
    said = response.json()
    assert not said["works"]
    assert hint in said["words"]
    assert "dummy-key" not in json.dumps(said)
    assert (await RequestRecord.objects.aget()).status == "error"


async def test_only_a_configured_provider_can_be_tested(operator: AsyncClient) -> None:
    for name in ("groq", "", "nonsense"):
        assert (await operator.post(TEST, {"provider": name})).status_code == 404


async def test_a_viewer_reads_and_tests_nothing(operator: AsyncClient) -> None:
    viewer = await logged_in(VIEWER)
    page = (await viewer.get(PAGE)).content.decode()
    assert "Getting started" in page
    assert "Test connection" not in page
    assert (await viewer.post(TEST, {"provider": "claude"})).status_code == 403


async def test_no_key_is_shown(operator: AsyncClient) -> None:
    page = (await operator.get(PAGE)).content.decode()
    assert "<code>ANTHROPIC_API_KEY</code> ✓" in page
    assert "<code>GROQ_API_KEY</code>," in page
    assert "dummy-key-for-tests" not in page


@pytest.mark.django_db
def test_the_page_knows_how_far_one_has_come(admin_client: Client) -> None:
    page = admin_client.get(PAGE).content.decode()
    assert "Waiting for the first request" in page
    assert "No key is needed yet" in page
    RequestRecordFactory()
    assert "Requests have arrived." in admin_client.get(PAGE).content.decode()


@own_database
async def test_every_snippet_runs_as_it_is(tmp_path: Path, fakes: dict[str, FakeProvider]) -> None:
    service = Running(tmp_path, fakes["claude"].url)
    base = f"http://127.0.0.1:{service.port}"
    try:
        async with httpx.AsyncClient(base_url=base) as http:
            await service.ready(http)
        secret = (await asyncio.to_thread(service.manage, "create_key", "first")).strip()
        for snippet in snippets(base, secret):
            command = ["sh", "-c", snippet.code]
            if snippet.install:
                command = [sys.executable, "-c", snippet.code]
            elif not shutil.which("curl"):
                continue
            done = await asyncio.to_thread(
                subprocess.run, command, capture_output=True, text=True, check=False
            )
            assert ANSWER in done.stdout, (snippet.name, done.stdout, done.stderr)
    finally:
        service.stop()
