"""What operators change while the service runs: keys of providers, and models off and on."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import connection

from analytics.access.audit import Actor
from analytics.models import ProviderKey
from analytics.operation.model_switches import model_switch
from analytics.operation.provider_keys import provider_key_add, provider_key_remove
from analytics.privacy.reencryption import reencrypt
from optimizer.wiring.build import get_services
from optimizer.wiring.installation.upstream import installed_catalogue
from optimizer.wiring.operation.providers import environment_with_stored_keys
from providers.chat import Chat
from providers.registry import configured_keys
from providers.resilience import AllProvidersFailed
from routing.models import ModelRef
from tests.conftest import Start
from tests.fakes.server import FakeProvider
from tests.fakes.wires import KEY, anthropic_wire

pytestmark = pytest.mark.django_db(transaction=True)

SOMEBODY = Actor("ann")
SECRET = "sk-ant-a-very-secret-key-9Zq7"
HAIKU = ModelRef("claude", "claude-haiku-5-5")


@sync_to_async
def change(work: Any, *args: Any, **named: Any) -> Any:
    """Change something, as another worker would, and let this one notice."""
    result = work(*args, **named, who=SOMEBODY)
    get_services().operation.refresh()
    return result


async def ask(client: httpx.AsyncClient, prompt: str = "How are you?") -> httpx.Response:
    return await client.post("/complete", json={"prompt": prompt})


async def ask_model(client: httpx.AsyncClient, model: str, text: str = "Hi") -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return await client.post("/v1/chat/completions", json=body)


async def test_a_key_that_is_added_serves_and_one_that_is_removed_does_not(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeProvider(anthropic_wire) as claude:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", claude.url)
        client = await start()
        refused = await ask(client)
        assert refused.status_code == 503
        assert not claude.asked
        key = await change(provider_key_add, "claude", KEY)
        assert (await ask(client)).json()["provider"] == "claude"
        await change(provider_key_remove, key)
        assert (await ask(client, "And you?")).status_code == 503
        assert len(claude.asked) == 1


async def test_keys_of_one_provider_are_used_in_their_order(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeProvider(anthropic_wire) as claude:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", claude.url)
        client = await start()
        # The first one is refused, so that the second one answers.
        await change(provider_key_add, "claude", "not-the-key-of-the-fake")
        await change(provider_key_add, "claude", KEY)
        assert (await ask(client)).status_code == 200
        assert [asked.headers["x-api-key"] for asked in claude.asked] == [
            "not-the-key-of-the-fake",
            KEY,
        ]


async def test_the_environment_wins_over_stored_keys(
    start: Start, fakes: dict[str, FakeProvider]
) -> None:
    client = await start()
    await change(provider_key_add, "claude", "another-key-than-that-of-the-environment")
    assert (await ask_model(client, str(HAIKU))).status_code == 200
    assert fakes["claude"].asked[-1].headers["x-api-key"] == KEY


async def test_a_wrong_key_that_is_replaced_closes_its_circuit(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeProvider(anthropic_wire) as claude:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", claude.url)
        client = await start()
        wrong = await change(provider_key_add, "claude", "not-the-key-of-the-fake")
        for number in range(6):
            assert (await ask(client, f"What is {number}?")).status_code == 503
        caller = get_services().caller
        assert caller.circuit_state("claude") == "open"
        await change(provider_key_remove, wrong)
        await change(provider_key_add, "claude", KEY)
        assert (await ask(client)).status_code == 200
        assert caller.circuit_state("claude") == "closed"


async def test_a_model_that_is_off_is_neither_chosen_nor_served_by_name(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    before = (await ask(client)).json()
    chosen = ModelRef(before["provider"], before["model"])
    await change(model_switch, chosen, off=True)
    after = (await ask(client, "How do you do?")).json()
    assert (after["provider"], after["model"]) != chosen
    named = await ask_model(client, str(chosen))
    assert named.status_code == 404
    assert named.json()["error"]["code"] == "model_not_found"
    assert "is switched off here" in named.json()["error"]["message"]
    listed = (await client.get("/v1/models")).json()["data"]
    assert str(chosen) not in str(listed)
    await change(model_switch, chosen, off=False)
    assert (await ask_model(client, str(chosen))).status_code == 200


async def test_a_dated_edition_is_off_with_its_model(client: httpx.AsyncClient) -> None:
    dated = f"{HAIKU.model}-20260901"
    assert (await ask_model(client, dated)).status_code == 200
    await change(model_switch, HAIKU, off=True)
    assert (await ask_model(client, dated, "Still?")).status_code == 404


async def test_a_request_that_chose_a_model_before_does_not_call_it_once_it_is_off(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    caller = get_services().caller
    await change(model_switch, HAIKU, off=True)
    attempts: list[Any] = []
    with pytest.raises(AllProvidersFailed):
        await caller.call([HAIKU], Chat.of_prompt("Hi", 5), attempts)
    assert [attempt.error for attempt in attempts] == ["switched_off"]
    assert not fakes["claude"].asked


def test_a_secret_is_never_stored_in_plain_text() -> None:
    key = provider_key_add("claude", SECRET, who=SOMEBODY)
    assert key.last_four == SECRET[-4:]
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM provider_keys")
        (stored,) = cursor.fetchone()
    assert stored.startswith("fernet:")
    assert SECRET not in stored
    assert ProviderKey.objects.get().secret == SECRET


def test_a_key_set_later_takes_over_what_was_derived(settings: Any) -> None:
    provider_key_add("claude", SECRET, who=SOMEBODY)
    settings.ENCRYPTION_KEYS = ["A" * 43 + "="]
    assert ProviderKey.objects.get().secret == SECRET
    assert sum(changed for _, changed in reencrypt()) == 1
    settings.SECRET_KEY = "another"
    assert ProviderKey.objects.get().secret == SECRET
    settings.ENCRYPTION_KEYS = []
    assert SECRET not in ProviderKey.objects.get().secret


def test_commands_know_stored_keys_and_leave_out_what_cannot_be_decrypted(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    provider_key_add("claude", SECRET, who=SOMEBODY)
    catalogue = installed_catalogue()
    claude = catalogue.providers["claude"]
    assert configured_keys(claude, environment_with_stored_keys(catalogue)) == (SECRET,)
    settings.SECRET_KEY = "another"
    assert configured_keys(claude, environment_with_stored_keys(catalogue)) == ()


async def test_what_an_error_prevented_is_put_into_force_by_the_next_reading(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    await start()
    services = get_services()
    with monkeypatch.context() as broken:

        def failing(*args: Any, **named: Any) -> None:
            raise MemoryError

        broken.setattr(services.registry, "configure", failing)
        with pytest.raises(MemoryError):
            await change(provider_key_add, "claude", SECRET)
        assert "claude" not in services.caller.providers
    await sync_to_async(services.operation.refresh)()
    assert "claude" in services.caller.providers


@pytest.mark.parametrize("secret", ["", "short", "two words in it", "one,two-two-two", "ключ-ключ"])
def test_what_is_no_key_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(ValidationError) as refused:
        provider_key_add("claude", secret, who=SOMEBODY)
    assert not secret or secret not in str(refused.value)


def test_the_trail_has_who_and_what_but_no_secret() -> None:
    key = provider_key_add("claude", SECRET, note="team search", who=SOMEBODY)
    provider_key_remove(key, who=SOMEBODY)
    model_switch(HAIKU, off=True, who=SOMEBODY)
    trail = [(e.user.username, e.object_repr, e.change_message) for e in LogEntry.objects.all()]
    assert {who for who, *_ in trail} == {"ann"}
    assert ("ann", str(HAIKU), "on → off") in trail
    assert SECRET not in str(trail)
