"""Models by the management API: what routing, names and prices make of a change, and what wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.admin.models import LogEntry

from analytics.models import ModelEntry
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.server import FakeProvider
from tests.fakes.wires import KEY, openai_wire
from tests.optimizer.api.manage.test_management_api import HAIKU, Manager, bearer

pytestmark = pytest.mark.django_db(transaction=True)

OURS = {"provider": "vllm", "model": "ours-7b", "tier": "simple", "context_window": 32_000}


@pytest.fixture
async def manager(client: httpx.AsyncClient) -> Manager:
    return Manager(client, await bearer("manage:read", "manage:models", "complete"))


def names_of(path: str) -> set[str]:
    """The models that routing may choose, with their tier."""
    return {str(o.ref) for o in get_services().options.options() if o.tier == path}


async def test_a_new_model_of_a_server_of_ones_own_is_routed_to_named_and_priced(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeProvider(openai_wire()) as fake:
        monkeypatch.setenv("VLLM_BASE_URL", fake.url)
        monkeypatch.setenv("VLLM_API_KEY", KEY)
        client = await start()
        headers = await bearer("manage:read", "manage:models", "complete")
        manage = Manager(client, headers)
        ask = {"messages": [{"role": "user", "content": "Hi"}]}
        nothing = await client.post("/complete", json={"prompt": "Hi"}, headers=headers)
        assert nothing.status_code == 503
        made = await manage(
            "POST", "models", {**OURS, "capabilities": ["json"], "aliases": ["house"]}
        )
        assert made.status_code == 201, made.text
        shown = made.json()
        assert shown["added"]
        assert shown["configured"]
        assert shown["input_price"] is None
        answered = await client.post("/complete", json={"prompt": "Hi"}, headers=headers)
        assert (answered.json()["provider"], answered.json()["model"]) == ("vllm", "ours-7b")
        named = await client.post(
            "/v1/chat/completions", json={**ask, "model": "house"}, headers=headers
        )
        assert named.status_code == 200
        assert fake.asked[-1].body["model"] == "ours-7b"
        price = {"provider": "vllm", "model": "house", "input": 1, "output": 2}
        assert (await manage("POST", "prices", price)).status_code == 201
        assert (await manage("GET", "models/vllm/ours-7b")).json()["input_price"] == 1
        gone = await manage("DELETE", "models/vllm/ours-7b")
        assert gone.status_code == 204
        again = await client.post(
            "/v1/chat/completions", json={**ask, "model": "house"}, headers=headers
        )
        assert again.status_code == 404
        assert (await manage("GET", "models/vllm/ours-7b")).status_code == 404


async def test_tier_and_features_change_what_routing_may_choose(manager: Manager) -> None:
    assert HAIKU in names_of("simple")
    changed = await manager(
        "PATCH", f"models/{HAIKU}",
        {"tier": "complex", "capabilities": ["json"], "context_window": 5000, "on": True},
    )  # fmt: skip
    assert changed.status_code == 200, changed.text
    shown = changed.json()
    assert shown["set_here"] == ["tier", "context_window", "capabilities"]
    assert not shown["added"]
    assert HAIKU in names_of("complex")
    (option,) = [o for o in get_services().options.options() if str(o.ref) == HAIKU]
    assert "tools" not in option.capabilities
    assert option.context_window == 5000
    back = await manager("PATCH", f"models/{HAIKU}", {"tier": None, "capabilities": None})
    assert back.json()["set_here"] == ["context_window"]
    assert HAIKU in names_of("simple")
    assert (await manager("DELETE", f"models/{HAIKU}")).status_code == 204
    assert (await manager("DELETE", f"models/{HAIKU}")).status_code == 404
    assert not await ModelEntry.objects.aexists()
    words = [entry.change_message async for entry in LogEntry.objects.order_by("pk")]
    assert any("tier: – → complex" in word and "by the key deploy" in word for word in words)


async def test_a_longer_answer_than_the_models_longest_goes_elsewhere(
    manager: Manager, client: httpx.AsyncClient
) -> None:
    headers = await bearer("complete", name="asks")
    body: dict[str, Any] = {
        "model": HAIKU, "max_tokens": 900, "messages": [{"role": "user", "content": "Hi"}],
    }  # fmt: skip
    assert (await manager("PATCH", f"models/{HAIKU}", {"max_output": 800})).status_code == 200
    refused = await client.post("/v1/chat/completions", json=body, headers=headers)
    assert refused.status_code == 400
    assert "the model gives at most 800" in refused.text
    for fits in ({"max_tokens": 800}, {"max_tokens": None}):
        answered = await client.post("/v1/chat/completions", json={**body, **fits}, headers=headers)
        assert answered.status_code == 200, answered.text


async def test_a_model_is_as_able_as_one_that_has_results(manager: Manager) -> None:
    def place() -> float | None:
        return next(o.place for o in get_services().options.options() if str(o.ref) == HAIKU)

    before = place()
    changed = await manager("PATCH", f"models/{HAIKU}", {"able_as": "claude-opus-5-5"})
    assert changed.status_code == 200, changed.text
    assert place() != before
    wrong = await manager("PATCH", f"models/{HAIKU}", {"able_as": "nobody-1"})
    assert wrong.json()["errors"]["able_as"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"provider": "nobody"}, "provider"),
        ({"provider": "local"}, "provider"),
        ({"model": "../etc/passwd"}, "model"),
        ({"provider": "claude", "model": "claude-haiku-5-5"}, "model"),
        ({"tier": "cheap"}, "tier"),
        ({"tier": None}, "tier"),
        ({"context_window": 0}, "context_window"),
        ({"context_window": 10**12}, "context_window"),
        ({"context_window": "8k"}, "context_window"),
        ({"context_window": None}, "context_window"),
        ({"max_output": 40_000}, "max_output"),
        ({"capabilities": ["telepathy"]}, "capabilities"),
        ({"lacks": ["telepathy"]}, "lacks"),
        ({"aliases": ["two words"]}, "aliases"),
        ({"aliases": ["ours-7b"]}, "aliases"),
        ({"kind": "image"}, "kind"),
        ({"kind": "embedding"}, "tier"),
        ({"price": 3}, "price"),
    ],
)
async def test_a_wrong_model_is_refused_by_field(
    manager: Manager, wrong: dict[str, Any], field: str
) -> None:
    refused = await manager("POST", "models", {**OURS, **wrong})
    assert refused.status_code == 400, refused.text
    assert list(refused.json()["errors"]) == [field]
    assert not await ModelEntry.objects.aexists()


async def test_what_a_new_model_needs_cannot_be_taken_away(manager: Manager) -> None:
    assert (await manager("POST", "models", OURS)).status_code == 201
    for field in ("tier", "context_window"):
        refused = await manager("PATCH", "models/vllm/ours-7b", {field: None})
        assert list(refused.json()["errors"]) == [field]
    assert (await manager("PATCH", "models/vllm/ours-7b", {})).status_code == 400
    assert (await manager("POST", "models", OURS)).json()["errors"]["model"]


async def test_the_file_wins_and_is_named(
    fakes: dict[str, FakeProvider], start: Start, tmp_path: Path, settings: Any
) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        '[[models]]\nprovider = "claude"\nid = "claude-haiku-5-5"\ntier = "moderate"\n'
        'context_window = 9000\n[[models]]\nprovider = "vllm"\nid = "ours-7b"\ndisabled = true\n'
    )
    settings.CATALOGUE_FILE = str(own)
    client = await start()
    manage = Manager(client, await bearer("manage:read", "manage:models"))
    shown = (await manage("GET", f"models/{HAIKU}")).json()
    assert (shown["set_by"], shown["tier"]) == ("CATALOGUE_FILE", "moderate")
    for refused in (
        await manage("PATCH", f"models/{HAIKU}", {"tier": "simple", "on": False}),
        await manage("POST", "models", OURS),
    ):
        assert refused.status_code == 409
        assert "CATALOGUE_FILE" in refused.json()["detail"]
    assert (await manage("GET", f"models/{HAIKU}")).json()["on"]
    assert (await manage("PATCH", f"models/{HAIKU}", {"on": False})).status_code == 200
