"""Sessions under attack: odd ids, ids of others, stops amid calls."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from analytics.models import AgentSession, RequestRecord, SessionStall
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.server import FakeProvider
from tests.optimizer.api.relayed.conftest import key_of

pytestmark = pytest.mark.django_db(transaction=True)
AGENT = {"user-agent": "claude-cli/2.1.332 (external, cli)"}
ODD = {
    "huge": "x" * 5_000,
    "unicode": "Sitzung-ß-会話-🙂",
    "bidirectional": "\u202egnp.exe",
    "control characters": "a\x00b\x1b[31mc\r\nSet-Cookie: x=1",
    "a surrogate": "a\ud800b",
    "a path": "../../admin/?q=1#x",
    "markup": "<script>alert(1)</script>\"'{{7*7}}%s",
    "a formula": "=HYPERLINK(\"http://x\")",
    "a sub-agent of all": "/",
    "white": " \u00a0\u2003 ",
}  # fmt: skip


async def ask(client: httpx.AsyncClient, session: Any = None, **headers: str) -> httpx.Response:
    body: dict[str, Any] = {
        "model": "claude-haiku-5-5", "max_tokens": 100,
        "messages": [{"role": "user", "content": "hello"}],
    }  # fmt: skip
    if session is not None:
        body["optimizer"] = {"session_id": session}
    headers = {**AGENT, "content-type": "application/json", **headers}
    # ASCII alone, as a surrogate has no UTF-8.
    return await client.post("/v1/messages", content=json.dumps(body), headers=headers)


async def refreshed() -> None:
    await sync_to_async(get_services().brakes.refresh)()


@pytest.mark.parametrize("name", ODD)
async def test_odd_ids_are_stored_shown_and_end_nowhere_else(
    client: httpx.AsyncClient, admin_user: User, name: str
) -> None:
    first = await ask(client, ODD[name])
    assert first.status_code in {200, 400}, first.text
    if first.status_code == 400:
        return  # refused with the field's name, and nothing was charged
    assert (await ask(client, ODD[name])).status_code == 200
    assert "set-cookie" not in first.headers
    row = await AgentSession.objects.aget(sub_agent="")
    assert row.requests == 2
    assert len(row.session_id) <= 128
    assert "\x00" not in row.session_id
    page = await client.get("/v1/sessions/" + quote(row.session_id, safe=""))
    assert page.status_code == 200
    assert page.json()["id"] == row.session_id

    def shown() -> None:
        browser = Client()
        browser.force_login(admin_user)
        for url in (
            reverse("admin:analytics_agentsession_changelist"),
            reverse("admin:analytics_agentsession_changelist") + "?q=" + quote(row.session_id),
            reverse("admin:analytics_agentsession_change", args=[row.pk]),
        ):
            reply = browser.get(url)
            assert reply.status_code == 200
            assert "<script>alert" not in reply.content.decode()

    await sync_to_async(shown)()


@pytest.mark.parametrize("session", [5, ["a"], {"a": 1}, True, ""])
async def test_ids_that_are_no_text_are_refused_or_left_out(
    client: httpx.AsyncClient, session: Any
) -> None:
    assert (await ask(client, session)).status_code in {200, 400}
    assert await AgentSession.objects.filter(session_id__in=["5", "True", ""]).acount() == 0


async def test_an_id_of_another_tenant_shows_and_charges_nothing_of_it(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings: Any
) -> None:
    settings.AUTH = "on"
    client = await start()
    red, blue = await key_of("red"), await key_of("blue")
    own = {"x-claude-code-session-id": "the-run"}
    assert (await ask(client, **own, **blue)).status_code == 200
    before = await AgentSession.objects.aget()
    assert (await client.get("/v1/sessions/the-run", headers=red)).status_code == 404
    assert (await ask(client, **own, **red)).status_code == 200
    assert (await ask(client, "the-run", **red)).status_code == 200
    response = await RequestRecord.objects.order_by("created_at").afirst()
    assert response is not None
    for forged in (before.tenant, f"{before.tenant}\x00the-run", f"{before.tenant}/the-run"):
        await ask(client, forged, **red)
    after = await AgentSession.objects.aget(pk=before.pk)
    assert (after.requests, after.cost, after.last_at) == (1, before.cost, before.last_at)
    theirs = (await client.get("/v1/sessions/the-run", headers=red)).json()
    assert theirs["requests"] == 2
    await AgentSession.objects.filter(pk=before.pk).aupdate(stopped_at=timezone.now())
    await refreshed()
    assert (await ask(client, **own, **blue)).status_code == 402
    assert (await ask(client, **own, **red)).status_code == 200, "only the other's is stopped"


async def test_a_stop_amid_parallel_calls_ends_the_next_one(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], admin_user: User
) -> None:
    own = {"x-claude-code-session-id": "the-run"}
    assert (await ask(client, **own)).status_code == 200
    fakes["claude"].gate = asyncio.Event()
    waiting = [
        asyncio.create_task(ask(client, **own, **{"x-claude-code-agent-id": f"a{n}"}, **_fresh))
        for n in range(20)
    ]
    while len(fakes["claude"].asked) < 21:
        await asyncio.sleep(0.01)

    def stop() -> int:
        browser = Client()
        browser.force_login(admin_user)
        row = AgentSession.objects.get(sub_agent="")
        return browser.post(reverse("admin:analytics_agentsession_stop", args=[row.pk])).status_code

    assert await sync_to_async(stop)() == 302
    await refreshed()
    assert (await ask(client, **own)).status_code == 402
    fakes["claude"].gate.set()
    replies = await asyncio.gather(*waiting)
    assert {reply.status_code for reply in replies} == {200}, "what is paid for is delivered"
    row = await AgentSession.objects.aget(sub_agent="")
    assert row.requests == 21
    assert row.stopped_at is not None
    assert (await ask(client, **own)).status_code == 402


_fresh = {"cache-control": "no-store"}


async def test_sessions_by_the_thousand_leave_no_more_than_their_rows(
    client: httpx.AsyncClient,
) -> None:
    for first in range(0, 600, 100):
        replies = await asyncio.gather(
            *(ask(client, f"s{first + n}", **_fresh) for n in range(100))
        )
        assert {reply.status_code for reply in replies} == {200}
    assert await AgentSession.objects.acount() == 600
    assert await SessionStall.objects.acount() == 0
    brakes = get_services().brakes
    assert len(brakes._noted) == 0
