"""Webhooks of deferred requests go to an address that was checked, and hold up nobody."""

from __future__ import annotations

import pytest

from analytics.models import DeferredRequest
from optimizer.gateway.deferred.webhooks import Webhooks
from optimizer.shared import webhook_client
from optimizer.shared.webhook_client import WebhookClient
from tests.fakes.server import FakeProvider, Reply
from tests.optimizer.monitoring.test_notifications import NAME, Names


async def called(url: str) -> str:
    webhooks = Webhooks([url], "s3cret")
    async with WebhookClient({}) as client:
        return await webhooks.call(client, DeferredRequest(webhook=url, state="done"))


async def test_the_address_that_was_checked_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that says another address the second time leads nowhere else."""
    async with FakeProvider(lambda asked: Reply({})) as hook:
        names = Names(monkeypatch, "127.0.0.1", "127.0.0.99")
        port = hook.url.rpartition(":")[2].partition("/")[0]
        assert await called(f"http://{NAME}:{port}/done") == ""
        assert names.asked == 1
        assert [one.headers["host"] for one in hook.asked] == [f"{NAME}:{port}"]


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254"])
async def test_an_allowed_name_leads_to_no_credentials_of_the_machine(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, ("127.0.0.1", address))
    assert "own network" in await called(f"http://{NAME}:8080/done")


async def test_a_server_that_never_ends_its_answer_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_client, "_MOST_SECONDS", 0.2)
    async with FakeProvider(lambda asked: Reply({}, delay=5.0)) as hook:
        assert await called(f"{hook.url}/done") == "no answer within 0 s"


async def test_what_cannot_be_called_ends_no_pass() -> None:
    webhooks = Webhooks(["hooks.example.com"], "s3cret")
    async with WebhookClient({}) as client:
        row = DeferredRequest(webhook="http://elsewhere.example.com/", state="done")
        assert "not allowed" in await webhooks.call(client, row)
