"""API keys: who may ask, from where, for what; and that nobody else may."""

from __future__ import annotations

import asyncio
import io
import ipaddress
import json
import re
import time
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from analytics.access.keys import digest_of, key_make, key_revoke, key_rotate
from analytics.models import ApiKey, CachedResponse, Feedback, RequestRecord, Team
from optimizer.access.api_keys import ApiKeys, KnownKey
from optimizer.asgi import application
from optimizer.server.gatekeeper import Gatekeeper
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.server import FakeProvider

SMALL = "claude-haiku-5-5"
PROMPT = {"prompt": "What is the capital of France?"}
CHAT = {
    "model": "auto",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
CONTENTS = {"contents": [{"parts": [{"text": "What is the capital of France?"}]}]}
BY_BOB = {**CHAT, "user": "bob"}
MESSAGE = {"model": "auto", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi there"}]}


async def make(name: str, **fields: object) -> str:
    """A key's secret, heard of by the service."""
    made = await sync_to_async(key_make)(ApiKey(name=name, **fields))
    await hear()
    return made.secret


async def hear() -> None:
    await sync_to_async(get_services().api_keys.refresh)()


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def asked(client: httpx.AsyncClient, secret: str) -> int:
    """The status of a completion asked for with this key."""
    return (await client.post("/complete", json=PROMPT, headers=bearer(secret))).status_code


@pytest.fixture
async def client(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> httpx.AsyncClient:
    return await start()


class TestWithoutAnyKey:
    async def test_this_machine_is_served(self, client: httpx.AsyncClient) -> None:
        assert (await client.post("/complete", json=PROMPT)).status_code == 200
        shown = await client.post("/complete", json=PROMPT, headers=bearer("any"))
        assert shown.status_code == 200

    @pytest.mark.parametrize("address", ["10.1.2.3", "192.168.0.9", "2001:db8::1", "", "testing"])
    async def test_others_are_told_how_to_get_one(
        self, client: httpx.AsyncClient, address: str
    ) -> None:
        transport = httpx.ASGITransport(app=application, client=(address, 4))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as other:
            response = await other.post("/complete", json=PROMPT)
            assert response.status_code == 401
            assert "manage.py create_key" in response.json()["detail"]
            assert (await other.get("/health")).status_code == 200

    async def test_on_asks_all_the_same(
        self, transactional_db: None, fakes, start: Start, settings
    ) -> None:
        settings.AUTH = "on"
        client = await start()
        assert (await client.post("/complete", json=PROMPT)).status_code == 401

    async def test_off_never_asks(
        self, transactional_db: None, fakes, start: Start, settings
    ) -> None:
        settings.AUTH = "off"
        await start()
        await make("one")
        transport = httpx.ASGITransport(app=application, client=("10.1.2.3", 4))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as other:
            assert (await other.post("/complete", json=PROMPT)).status_code == 200


class TestWithAKey:
    async def test_every_endpoint_asks_for_one(self, client: httpx.AsyncClient) -> None:
        await make("one")
        for method, path, body in (
            ("POST", "/complete", PROMPT),
            ("POST", "/api/v1/complete", PROMPT),
            ("POST", "/v1/chat/completions", CHAT),
            ("POST", "/v1/messages", MESSAGE),
            ("POST", "/v1/messages/count_tokens", MESSAGE),
            ("POST", "/v1/embeddings", {"model": "x", "input": "y"}),
            ("POST", "/v1/responses", {"model": "auto", "input": "y"}),
            ("GET", "/v1/models", None),
            ("GET", "/providers", None),
            ("GET", "/stats", None),
            ("GET", "/api/v1/stats", None),
            ("GET", "/routing/metrics", None),
            ("GET", "/recommendation?prompt=x", None),
            ("POST", "/feedback", {}),
            ("GET", "/no/such/path", None),
        ):
            response = await client.request(method, path, json=body)
            assert response.status_code == 401, path
            assert response.headers["www-authenticate"] == "Bearer"
        for path in ("/health", "/schema", "/docs", "/admin/login/"):
            assert (await client.get(path)).status_code == 200, path
        assert not await RequestRecord.objects.admitted().aexists()

    async def test_it_is_taken_in_either_header(self, client: httpx.AsyncClient) -> None:
        secret = await make("one")
        for headers in (
            bearer(secret),
            {"x-api-key": secret},
            {"Authorization": f"bearer {secret}"},
        ):
            assert (await client.post("/complete", json=PROMPT, headers=headers)).status_code == 200
        for headers in (
            bearer(secret + "x"),
            bearer(secret[:-1]),
            bearer(""),
            {"x-api-key": b"\xe9"},
        ):
            response = await client.post("/complete", json=PROMPT, headers=headers)
            assert response.status_code == 401
            assert secret[:-1] not in response.text

    @pytest.mark.parametrize("nothing", ["", " ", "Bearer", "Bearer ", "bearer   "])
    async def test_an_empty_header_leaves_the_key_of_another_one(
        self, client: httpx.AsyncClient, nothing: str
    ) -> None:
        secret = await make("one")
        generate = "/v1beta/models/auto:generateContent"
        calls = [("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGE), (generate, CONTENTS)]
        calls.append(("/v1/responses", {"model": "auto", "input": "What is 2 + 2?"}))
        for path, body in calls:
            for name in ("x-api-key", "x-goog-api-key") if path == generate else ("x-api-key",):
                headers = [("authorization", nothing), ("x-api-key", ""), (name, secret)]
                for ordered in (headers, headers[::-1]):
                    answer = await client.post(path, json=body, headers=ordered)
                    assert answer.status_code == 200, (path, ordered)
            headers = [("x-api-key", " "), *bearer(secret).items()]
            assert (await client.post(path, json=body, headers=headers)).status_code == 200
            alone = await client.post(path, json=body, headers={"authorization": nothing})
            assert alone.status_code == 401
            assert "An API key is required" in alone.text

    async def test_clients_of_gemini_give_it_in_their_own_header(
        self, client: httpx.AsyncClient
    ) -> None:
        secret = await make("one")
        key = {"x-goog-api-key": secret}
        for path in ("/v1beta/models/auto:generateContent", "/v1/models/auto:generateContent"):
            assert (await client.post(path, json=CONTENTS, headers=key)).status_code == 200
            refused = await client.post(path, json=CONTENTS)
            assert refused.status_code == 401
            assert refused.json()["error"]["status"] == "UNAUTHENTICATED"
            # A key in the query string may stand in a log, so that it opens nothing.
            assert (await client.post(f"{path}?key={secret}", json=CONTENTS)).status_code == 401
        assert (await client.get("/v1beta/models", headers=key)).status_code == 200
        for path, body in (("/v1/chat/completions", CHAT), ("/complete", PROMPT)):
            assert (await client.post(path, json=body, headers=key)).status_code == 401

    async def test_a_key_in_the_query_is_taken_if_the_operator_allows_it(
        self, client: httpx.AsyncClient
    ) -> None:
        secret = await make("one")
        seen: list[bytes] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["query_string"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        guarded = Gatekeeper(app, most_bytes=1024, query_keys=True)
        transport = httpx.ASGITransport(app=guarded)
        path = "/v1beta/models/auto:streamGenerateContent"
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            taken = await http.post(f"{path}?alt=sse&key={secret}", json=CONTENTS)
            assert taken.status_code == 200
            assert seen == [b"alt=sse"]
            await http.post(f"{path}?alt=%C2%BE%ff&key={secret}", json=CONTENTS)
            assert seen[1] == b"alt=%C2%BE%FF"
            for headers in (bearer(""), bearer("  "), {"x-goog-api-key": ""}):
                empty = await http.post(f"{path}?key={secret}&key=", json=CONTENTS, headers=headers)
                assert empty.status_code == 200
            wrong = await http.post(f"{path}?key={secret}x", json=CONTENTS)
            assert wrong.status_code == 401
            other = await http.post(f"/v1/chat/completions?key={secret}", json=CHAT)
            assert other.status_code == 401

    async def test_errors_have_the_api_s_own_shape(self, client: httpx.AsyncClient) -> None:
        await make("one")
        openai = (await client.post("/v1/chat/completions", json=CHAT)).json()
        assert openai["error"]["code"] == "invalid_api_key"
        anthropic = (await client.post("/v1/messages", json=MESSAGE)).json()
        assert anthropic["error"]["type"] == "authentication_error"
        assert (await client.post("/complete", json=PROMPT)).json()["status_code"] == 401

    async def test_what_it_is_for_stands_on_its_requests(self, client: httpx.AsyncClient) -> None:
        team = await Team.objects.acreate(name="search")
        secret = await make("one", user="ann", team=team)
        await client.post(
            "/v1/chat/completions", json={**CHAT, "user": "bob"}, headers=bearer(secret)
        )
        record = await RequestRecord.objects.aget()
        assert (record.user_id, record.tenant, record.api_key) == (
            "ann",
            "team:search",
            secret[:12],
        )

    async def test_a_client_names_its_user_where_the_key_does_not(
        self, client: httpx.AsyncClient
    ) -> None:
        secret = await make("one")
        await client.post(
            "/v1/chat/completions", json={**CHAT, "user": "bob"}, headers=bearer(secret)
        )
        assert (await RequestRecord.objects.aget()).user_id == "bob"

    async def test_scopes(self, client: httpx.AsyncClient) -> None:
        asks, reads = await make("asks"), await make("reads", scopes=["read"])
        for path in ("/insights", "/api/v1/insights"):
            assert (await client.get(path, headers=bearer(asks))).status_code == 403
            assert (await client.get(path, headers=bearer(reads))).status_code == 200
        refused = await client.post("/complete", json=PROMPT, headers=bearer(reads))
        assert refused.status_code == 403
        assert "lacks the scope 'complete'" in refused.json()["detail"]

    async def test_addresses(self, client: httpx.AsyncClient) -> None:
        inside = await make("inside", addresses=["127.0.0.0/8"])
        outside = await make("outside", addresses=["10.0.0.0/8", "2001:db8::/32"])
        assert (
            await client.post("/complete", json=PROMPT, headers=bearer(inside))
        ).status_code == 200
        refused = await client.post("/complete", json=PROMPT, headers=bearer(outside))
        assert refused.status_code == 403

    async def test_models(self, client: httpx.AsyncClient) -> None:
        secret = await make("one", model_names=["claude-haiku-*"])
        answer = await client.post("/complete", json=PROMPT, headers=bearer(secret))
        assert answer.json()["model"].startswith("claude-haiku-")
        named = {**CHAT, "model": "claude-sonnet-5-5"}
        refused = await client.post("/v1/chat/completions", json=named, headers=bearer(secret))
        assert refused.status_code == 400
        assert "not allowed for this API key" in refused.text

    async def test_expiry(self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
        soon = datetime.now(UTC) + timedelta(hours=1)
        secret = await make("one", expires_at=soon)

        class Then(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return soon

        assert (
            await client.post("/complete", json=PROMPT, headers=bearer(secret))
        ).status_code == 200
        monkeypatch.setattr("optimizer.access.api_keys.datetime", Then)
        assert (
            await client.post("/complete", json=PROMPT, headers=bearer(secret))
        ).status_code == 401

    async def test_a_revoked_one_opens_nothing_within_a_second(
        self, client: httpx.AsyncClient
    ) -> None:
        secret = await make("one")
        assert (
            await client.post("/complete", json=PROMPT, headers=bearer(secret))
        ).status_code == 200
        await sync_to_async(key_revoke)(await ApiKey.objects.aget())
        revoked = time.monotonic()
        while (await client.get("/v1/models", headers=bearer(secret))).status_code != 401:
            assert time.monotonic() - revoked < 5
            await asyncio.sleep(0.02)

    async def test_a_new_one_is_heard_of_by_itself(self, client: httpx.AsyncClient) -> None:
        made = await sync_to_async(key_make)(ApiKey(name="one"))
        begun = time.monotonic()
        while (await client.get("/v1/models")).status_code != 401:
            assert time.monotonic() - begun < 5
            await asyncio.sleep(0.02)
        assert (await client.get("/v1/models", headers=bearer(made.secret))).status_code == 200

    async def test_when_it_was_used_is_written_down(self, client: httpx.AsyncClient) -> None:
        used, unused = await make("used"), await make("unused")
        await client.get("/v1/models", headers=bearer(used))
        await sync_to_async(get_services().api_keys.write_usage)()
        assert unused
        assert (await ApiKey.objects.aget(name="used")).last_used_at is not None
        assert (await ApiKey.objects.aget(name="unused")).last_used_at is None

    async def test_a_successor_overlaps(self, client: httpx.AsyncClient) -> None:
        old = await make("one", user="ann", scopes=["complete"])
        made = await sync_to_async(key_rotate)(await ApiKey.objects.aget(), timedelta(hours=1))
        await hear()
        for secret in (old, made.secret):
            assert (await client.get("/v1/models", headers=bearer(secret))).status_code == 200
        assert (made.key.name, made.key.user, made.key.scopes) == ("one", "ann", ["complete"])
        before = await ApiKey.objects.aget(prefix=old[:12])
        assert before.expires_at < datetime.now(UTC) + timedelta(hours=1, seconds=1)


class TestTenants:
    async def test_teams_share_answers_and_see_no_other_s(self, client: httpx.AsyncClient) -> None:
        red, blue = await Team.objects.acreate(name="red"), await Team.objects.acreate(name="blue")
        one, two = await make("one", team=red), await make("two", team=red)
        other, alone = await make("other", team=blue), await make("alone")
        hits = []
        for secret in (one, two, other, alone, alone):
            answer = await client.post("/complete", json=PROMPT, headers=bearer(secret))
            hits.append(answer.json()["cache_hit"])
        assert hits == [False, True, False, False, True]
        assert await CachedResponse.objects.acount() == 3

    async def test_nobody_rates_another_s_request(self, client: httpx.AsyncClient) -> None:
        one, other = await make("one"), await make("other")
        answer = (await client.post("/complete", json=PROMPT, headers=bearer(one))).json()
        verdict = {"request_id": answer["request_id"], "rating": -1}
        refused = await client.post("/feedback", json=verdict, headers=bearer(other))
        unknown = await client.post(
            "/feedback",
            json={**verdict, "request_id": "019ab2f4-55a1-7c3e-9d5a-0b1f7b0f1d11"},
            headers=bearer(other),
        )
        assert refused.status_code == unknown.status_code == 404
        assert refused.json()["detail"] == unknown.json()["detail"]
        assert (
            await client.post("/feedback", json=verdict, headers=bearer(one))
        ).status_code == 200
        assert await Feedback.objects.acount() == 1


def test_a_secret_is_kept_nowhere(db: None) -> None:
    made = key_make(ApiKey(name="one"))
    assert re.fullmatch(r"aco_[\w-]{43}", made.secret)
    kept = json.dumps([list(ApiKey.objects.values_list())], default=str)
    assert made.secret not in kept
    assert made.secret[12:] not in kept
    assert made.key.digest == digest_of(made.secret)
    assert made.secret not in repr(made.key)


def test_while_keys_cannot_be_read_nobody_passes() -> None:
    ring = ApiKeys("auto")
    with pytest.raises(Exception, match="cannot be read") as caught:
        ring.authenticate(None, "127.0.0.1", "complete")
    assert caught.value.status == 503


@pytest.mark.parametrize(
    ("address", "admitted"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.1.2.3", False), ("", False), ("x", False)],
)
def test_addresses_are_read_as_they_come(address: str, admitted: bool) -> None:
    known = KnownKey(1, None, (ipaddress.ip_network("10.0.0.0/8"),))
    assert known.admits(address) == admitted


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"scopes": ["everything"]}, "Unknown: everything"),
        ({"addresses": ["10.0.0.0/99"]}, "is not an IP address or network"),
    ],
)
def test_mistakes_are_said(db: None, fields: dict, error: str) -> None:
    with pytest.raises(ValidationError, match=error):
        key_make(ApiKey(name="x", **fields))


@pytest.mark.django_db
class TestTheCommands:
    def run(self, *arguments: str) -> str:
        out = io.StringIO()
        call_command(*arguments, stdout=out, stderr=io.StringIO())
        return out.getvalue().strip()

    def test_make_list_rotate_revoke(self) -> None:
        assert "There are no keys" in self.run("keys")
        secret = self.run("create_key", "ann", "--team", "search", "--expires", "9")
        key = ApiKey.objects.get()
        assert digest_of(secret) == key.digest
        assert key.team.name == "search"
        listed = self.run("keys")
        assert secret[:12] in listed
        assert secret not in listed
        assert digest_of(self.run("keys", "rotate", "ann")) == ApiKey.objects.get(name="ann").digest
        assert "Revoked" in self.run("keys", "revoke", "ann")
        with pytest.raises(CommandError, match="revoked before"):
            self.run("keys", "revoke", "ann")
        with pytest.raises(CommandError, match="no successor"):
            self.run("keys", "rotate", "ann")

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            (("create_key", "x", "--address", "nowhere"), "addresses:"),
            (("create_key", "x", "--expires", "0"), "at least 1 day"),
            (("keys", "revoke", "none"), "no key 'none'"),
        ],
    )
    def test_what_cannot_be_is_said(self, arguments: tuple[str, ...], error: str) -> None:
        with pytest.raises(CommandError, match=error):
            self.run(*arguments)


@pytest.mark.django_db
class TestTheAdmin:
    def test_it_makes_replaces_and_revokes(self, admin_client: Client) -> None:
        add = reverse("admin:analytics_apikey_add")
        form = {
            "name": "ann",
            "user": "",
            "scopes": ["complete"],
            "addresses": "",
            "model_names": "",
        }
        page = admin_client.post(add, form)
        secret = re.search(r"aco_[\w-]{43}", page.content.decode()).group()
        assert "no-store" in page["cache-control"]
        key = ApiKey.objects.get()
        assert key.digest == digest_of(secret)
        changes = reverse("admin:analytics_apikey_changelist")
        assert secret not in admin_client.get(changes).content.decode()
        chosen = {"_selected_action": [key.pk]}
        page = admin_client.post(changes, {**chosen, "action": "rotate_selected"})
        assert re.search(r"aco_[\w-]{43}", page.content.decode()).group() != secret
        admin_client.post(changes, {**chosen, "action": "revoke_selected"})
        key.refresh_from_db()
        assert key.revoked_at is not None
        assert admin_client.post(
            reverse("admin:analytics_apikey_delete", args=[key.pk]), {"post": "yes"}
        ).status_code == 403  # fmt: skip
        none = admin_client.post(add, {**form, "name": "b", "scopes": []})
        assert "This field is required" in none.content.decode()
        assert admin_client.get(add).content.decode().count("checked") == 2
        wrong = admin_client.post(add, {**form, "name": "b", "addresses": "nowhere"})
        assert "is not an IP address or network" in wrong.content.decode()


class TestWishes:
    """What a key wants of all its requests."""

    async def test_a_cost_cap_is_kept_and_a_request_may_ask_for_less(
        self, client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
    ) -> None:
        secret = await make("one", cost_cap=Decimal("0.005"))
        open_ended = {**CHAT, "model": "auto:best"}
        answer = await client.post("/v1/chat/completions", json=open_ended, headers=bearer(secret))
        assert answer.status_code == 200
        decision = (await RequestRecord.objects.select_related("decision").aget()).decision
        reasons = {c["reason"] for c in decision.metadata["candidates"] if not c["chosen"]}
        assert any("above the cap of $0.005" in reason for reason in reasons)
        # A cap needs a bound, so there is one.
        assert any(
            "max_tokens" in str(fake.asked[-1].body) for fake in fakes.values() if fake.asked
        )
        less = {**open_ended, "optimizer": {"max_cost": 0.0000000001}}
        refused = await client.post("/v1/chat/completions", json=less, headers=bearer(secret))
        assert refused.status_code == 400

    async def test_learned_routing_is_the_default_where_the_key_says_so(
        self, client: httpx.AsyncClient
    ) -> None:
        secret = await make("one", auto_route=True)
        await client.post("/complete", json=PROMPT, headers=bearer(secret))
        said = {**PROMPT, "auto_route": False}
        await client.post("/complete", json=said, headers=bearer(secret))
        found = RequestRecord.objects.order_by("created_at").values_list("auto_route", flat=True)
        assert [auto async for auto in found] == [True, False]

    async def test_a_strict_key_is_refused_what_a_model_would_leave_out(
        self, client: httpx.AsyncClient
    ) -> None:
        lax = await make("lax")
        strict = await make("strict", strict=True)
        ask = {**CHAT, "model": SMALL, "seed": 7}
        served = await client.post("/v1/chat/completions", json=ask, headers=bearer(lax))
        assert served.status_code == 200
        assert served.headers["x-optimizer-dropped"] == "seed"
        # A request cannot ask for less than its key does.
        for wish in ({}, {"x-optimizer-strict": "false"}):
            headers = bearer(strict) | wish
            refused = await client.post("/v1/chat/completions", json=ask, headers=headers)
            assert refused.status_code == 400
            assert refused.json()["error"]["param"] == "seed"

    async def test_those_who_want_better_answers_share_none_with_those_who_do_not(
        self, client: httpx.AsyncClient
    ) -> None:
        team = await Team.objects.acreate(name="red")
        plain, good = (
            await make("plain", team=team),
            await make("good", team=team, quality_target=0.9),
        )
        for secret in (plain, good, good):
            answer = await client.post("/complete", json=PROMPT, headers=bearer(secret))
        assert answer.json()["cache_hit"]
        hits = RequestRecord.objects.order_by("created_at").values_list("cache_hit", flat=True)
        assert [hit async for hit in hits] == [False, False, True]
