"""The pages on which operators change providers, models and settings while the service runs."""

from __future__ import annotations

import httpx
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import AsyncClient
from django.urls import reverse

from analytics.models import ApiKey, ProviderKey, RuntimeSetting
from optimizer.wiring.build import get_services
from optimizer.wiring.operation.settings import RUNTIME_SETTINGS
from tests.conftest import Start, logged_in
from tests.fakes.server import FakeProvider
from tests.fakes.wires import KEY, anthropic_wire

pytestmark = pytest.mark.django_db(transaction=True)

PROVIDERS, MODELS = reverse("admin:providers"), reverse("admin:models")
SETTINGS = reverse("admin:settings")
HAIKU = "claude/claude-haiku-5-5"


async def page(person: AsyncClient, address: str) -> str:
    answer = await person.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


async def test_a_key_is_added_tested_and_removed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeProvider(anthropic_wire) as claude:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", claude.url)
        monkeypatch.setenv("GEMINI_API_KEY", KEY)
        client = await start()
        operator = await logged_in("operator")
        before = await page(operator, PROVIDERS)
        assert "set by <code>GEMINI_API_KEY</code>" in before
        assert '<option value="gemini">' not in before
        sent = {"provider": "claude", "secret": KEY, "note": "search"}
        assert (await operator.post(PROVIDERS, sent)).status_code == 302
        shown = await page(operator, PROVIDERS)
        assert f"…{KEY[-4:]}, search" in shown
        assert KEY not in shown
        tested = await operator.post(reverse("admin:test_connection"), {"provider": "claude"})
        assert tested.json()["works"]
        assert (await client.post("/complete", json={"prompt": "Hi"})).status_code == 200
        key = await ProviderKey.objects.aget()
        assert (await operator.post(PROVIDERS, {"remove": f"claude/{key.pk}"})).status_code == 302
        assert "claude" not in get_services().caller.providers
        assert await LogEntry.objects.filter(user__username="the operator").acount() == 2


async def test_a_wrong_key_is_refused_and_not_sent_back(start: Start) -> None:
    await start()
    operator = await logged_in("operator")
    sent = {"provider": "claude", "secret": "two words, one key"}
    refused = await operator.post(PROVIDERS, sent)
    assert refused.status_code == 200
    assert "one word of printable ASCII" in refused.content.decode()
    assert "two words, one key" not in refused.content.decode()


async def test_a_model_is_turned_off_and_on_by_one_button(client: httpx.AsyncClient) -> None:
    operator = await logged_in("operator")
    assert f'name="off" value="{HAIKU}"' in await page(operator, MODELS)
    assert (await operator.post(MODELS, {"off": HAIKU})).status_code == 302
    assert f'name="on" value="{HAIKU}"' in await page(operator, MODELS)
    assert get_services().caller.is_off(*HAIKU.split("/"))
    assert (await operator.post(MODELS, {"on": HAIKU})).status_code == 302
    assert not get_services().caller.switched_off
    assert (await operator.post(MODELS, {"off": "claude/none"})).status_code == 404


async def test_settings_are_saved_and_say_where_they_come_from(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_DAILY_BUDGET", "3")
    operator = await logged_in("operator")
    before = await page(operator, SETTINGS)
    assert "Set by JUDGE_DAILY_BUDGET." in before
    assert "Set by BASELINE_MODEL." in before
    wrong = await operator.post(SETTINGS, {**_fields(), "judge_rate": "7"})
    assert "It must be a number between 0 and 1." in wrong.content.decode()
    sent = {**_fields(), "judge_model": "claude-opus-5-5", "judge_rate": "0.25"}
    assert (await operator.post(SETTINGS, sent)).status_code == 302
    stored = {row.name: row.value async for row in RuntimeSetting.objects.all()}
    assert stored == {"JUDGE_MODEL": "claude-opus-5-5", "JUDGE_RATE": "0.25"}
    assert get_services().quality.product.judge_rate == 0.25
    assert "Set here." in await page(operator, SETTINGS)


def _fields() -> dict[str, str]:
    """The form as the page has it."""
    product = get_services().quality.product
    return {name: str(getattr(product, name)) for name in RUNTIME_SETTINGS}


@pytest.mark.parametrize("address", [PROVIDERS, SETTINGS, MODELS, reverse("admin:model")])
async def test_who_may_only_look_changes_nothing(client: httpx.AsyncClient, address: str) -> None:
    viewer = await logged_in("viewer")
    shown = await page(viewer, address)
    for words in ("Store the key", ">Remove<", ">Turn off<", 'value="Save"', 'value="Add"'):
        assert words not in shown
    for sent in ({"remove": "claude/1"}, {"off": HAIKU}, {"provider": "claude", "secret": KEY}):
        assert (await viewer.post(address, sent)).status_code == 403


async def test_nobody_gives_a_key_more_than_the_own_rights(client: httpx.AsyncClient) -> None:
    person = await User.objects.acreate_user("keys only", is_staff=True)
    rights = Permission.objects.filter(codename__endswith="_apikey")
    await person.user_permissions.aset([right async for right in rights])
    browser = AsyncClient()
    await browser.aforce_login(person)
    address = reverse("admin:analytics_apikey_add")
    for scopes, words in ((["complete", "manage:budgets"], "manage:budgets."), (["complete"], "")):
        answer = await browser.post(address, {"name": "mine", "scopes": scopes})
        assert ("You lack the rights" in answer.content.decode()) == bool(words)
        assert words in answer.content.decode()
    assert [key.scopes async for key in ApiKey.objects.all()] == [["complete"]]


MODEL = reverse("admin:model")
OURS = {"provider": "vllm", "model": "ours-7b", "kind": "chat", "tier": "simple"}


async def test_a_model_is_added_changed_and_removed(client: httpx.AsyncClient) -> None:
    operator = await logged_in("operator")
    assert "Add a model" in await page(operator, MODELS)
    wrong = await operator.post(MODEL, {**OURS, "context_window": "0"})
    assert "greater than or equal to 1" in wrong.content.decode()
    sent = {**OURS, "context_window": "32000", "capabilities": ["json"], "note": "our own"}
    assert (await operator.post(MODEL, sent)).status_code == 302
    assert "added here" in await page(operator, MODELS)
    address = f"{MODEL}?of=vllm/ours-7b"
    assert "Remove this model" in await page(operator, address)
    wrong = await operator.post(address, {**sent, "max_output": "64000"})
    assert "does not fit into the context window" in wrong.content.decode()
    assert (await operator.post(address, {**sent, "tier": "complex"})).status_code == 302
    spec = get_services().catalogue.find("vllm", "ours-7b")
    assert spec is not None
    assert (spec.tier, spec.capabilities) == ("complex", {"json"})
    assert (await operator.post(address, {"forget": "yes"})).status_code == 302
    assert (await operator.get(address)).status_code == 404
    assert await LogEntry.objects.filter(user__username="the operator").acount() == 3


async def test_a_model_of_the_catalogue_returns_to_it(client: httpx.AsyncClient) -> None:
    operator = await logged_in("operator")
    address = f"{MODEL}?of={HAIKU}"
    assert "Return to the catalogue" not in await page(operator, address)
    spec = get_services().catalogue.find(*HAIKU.split("/"))
    assert spec is not None
    form = {
        "tier": "complex", "context_window": spec.context_window,
        "capabilities": sorted(spec.capabilities), "lacks": sorted(spec.lacks),
        "aliases": " ".join(spec.aliases),
    }  # fmt: skip
    assert (await operator.post(address, form)).status_code == 302
    shown = await page(operator, address)
    assert "Return to the catalogue" in shown
    assert shown.count("Set here.") == 1
    assert "changed here" in await page(operator, MODELS)
    assert (await operator.post(address, {"forget": "yes"})).status_code == 302
    assert get_services().catalogue.find(*HAIKU.split("/")) == spec
