"""Every path of the URL configuration, walked by one tenant after another one has acted.

Blue sends prompts, rates answers, stores files, batches, responses and conversations. Red then
reads every path, and finds nothing of it: no word, no id, no changed figure. A new path must be
classified below.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from analytics.models import ProviderObject, RequestRecord
from tests.conftest import Start
from tests.fakes.server import Asked, FakeProvider, Reply, Wire
from tests.fakes.wires import KEY, anthropic_wire, openai_wire
from tests.optimizer.api.relayed.conftest import key_of

MARK = "zanzibar"
ASKED = f"Which {MARK} merger do we sign on Friday?"
FIGURES = ("stats", "cache/stats", "quality/stats", "routing/metrics")
OBJECTS = ("batches", "files", "responses", "conversations", "messages/batches")
ANTHROPIC = {"anthropic-version": "2023-06-01", "anthropic-beta": "files-api-2025-04-14"}

# Paths without the prefixes "api/v1/", "v1/", "v1beta/" and "v1alpha/", by what a tenant may see.
ITS_OWN = {
    *FIGURES, "batches", "files", "messages/batches", "batches/<>", "batches/<>/cancel",
    "files/<>", "files/<>/content", "responses/<>", "responses/<>/cancel",
    "responses/<>/input_items", "conversations", "conversations/<>", "conversations/<>/items",
    "conversations/<>/items/<>", "messages/batches/<>", "messages/batches/<>/cancel",
    "messages/batches/<>/results", "sessions/<>", "me", "me/usage", "deferred/<>",
    "deferred/<>/cancel", "deferred/<>/events", "deferred/<>/result",
}  # fmt: skip
ANSWERS = {
    "complete", "feedback", "chat/completions", "completions", "responses", "embeddings",
    "messages", "messages/count_tokens", "responses/input_tokens", "responses/compact",
    "images/generations", "images/edits", "audio/transcriptions", "audio/translations",
    "audio/speech", "moderations", "rerank", "v2/rerank",
    *(
        f"{kind}/<>:{method}"
        for kind in ("models", "tunedModels")
        for method in (
            "generateContent", "streamGenerateContent", "countTokens", "embedContent",
            "batchEmbedContents",
        )
    ),
}  # fmt: skip
CHOICES = {"recommendation", "routing/decision"}
NEEDS_READ = {"insights", "metrics"}
OF_THE_SERVICE = {
    "", "v1", "providers", "health", "ready", "schema", "docs", "models", "models/<>",
}  # fmt: skip
"""The same for all: what is configured, and how the service is."""
OF_OPERATORS = ("admin/",)
OF_MANAGERS = "api/v1/manage/"
"""Need a scope that no usual key has."""
OF_DEVELOPERS = re.compile(r"me/(?!usage$)")
"""Pages with a sign-in of their own: test_two_developers walks them."""


def paths(patterns: list[Any], before: str = "") -> Iterator[str]:
    for entry in patterns:
        path = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from paths(entry.url_patterns, path)
        elif isinstance(entry, URLPattern):
            yield path


def plain(path: str) -> str:
    path = re.sub(r"^(api/v1|v1beta|v1alpha|v1)/", "", path)
    return re.sub(r"<[^>]*>", "<>", path)


ALL_PATHS = sorted(set(paths(get_resolver().url_patterns)))


def test_every_path_is_classified() -> None:
    known = ITS_OWN | ANSWERS | CHOICES | NEEDS_READ | OF_THE_SERVICE
    unknown = [
        path
        for path in ALL_PATHS
        if not path.startswith((*OF_OPERATORS, OF_MANAGERS))
        and not OF_DEVELOPERS.match(path)
        and plain(path) not in known
    ]
    assert unknown == [], "Say above what a tenant may see there."
    assert {plain(path) for path in ALL_PATHS} >= known


def kept_objects(chat: Wire) -> Wire:
    """A provider that keeps objects; its lists hold those of all tenants, as in one account."""
    kept: dict[str, list[dict[str, Any]]] = {kind: [] for kind in OBJECTS}

    def wire(asked: Asked) -> Reply:
        kind = next((k for k in sorted(OBJECTS, key=len)[::-1] if f"/{k}" in asked.path), "")
        if not kind or (asked.path.endswith("/responses") and "input" not in asked.body):
            return chat(asked)
        if asked.method == "GET" and asked.path.endswith(f"/{kind}"):
            data = kept[kind]
            return Reply({
                "object": "list", "data": data, "has_more": True, "total": len(data),
                "first_id": data[0]["id"], "last_id": data[-1]["id"],
            } if data else {"object": "list", "data": [], "has_more": False})  # fmt: skip
        item = {
            "id": f"{MARK}-{kind.replace('/', '-')}-{len(kept[kind])}", "object": kind,
            "status": "completed", "note": MARK, "model": "gpt-6-luna",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": MARK}]}],
            "usage": {"input_tokens": 5, "output_tokens": 1},
        }  # fmt: skip
        kept[kind].append(item)
        limits = {"x-ratelimit-remaining-tokens": "17", "openai-organization": MARK}
        return Reply(item, headers=limits)

    return wire


@pytest.fixture
async def client(
    transactional_db: None, start: Start, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        FakeProvider(kept_objects(openai_wire())) as openai,
        FakeProvider(kept_objects(anthropic_wire)) as claude,
    ):
        for name, fake in (("OPENAI", openai), ("ANTHROPIC", claude)):
            monkeypatch.setenv(f"{name}_API_KEY", KEY)
            monkeypatch.setenv(f"{name}_BASE_URL", fake.url)
        yield await start()


async def blue_acts(client: httpx.AsyncClient, blue: dict[str, str]) -> dict[str, list[str]]:
    """Do everything that leaves something; return the ids that blue got, by kind."""
    model = {"model": "openai/gpt-6-luna"}
    turns = [{"role": "user", "content": ASKED}]
    ids: dict[str, list[str]] = {kind: [] for kind in OBJECTS}
    first = await client.post(
        "/complete",
        json={"prompt": ASKED},
        headers=blue,
    )
    assert first.status_code == 200, first.text
    ids["cache_key"] = [first.json()["cache_key"]]
    again = await client.post("/complete", json={"prompt": ASKED}, headers=blue)
    ids["request_id"] = [first.json()["request_id"], again.json()["request_id"]]
    rating = {"request_id": ids["request_id"][0], "rating": -1, "comment": MARK}
    assert (await client.post("/feedback", json=rating, headers=blue)).status_code == 200
    for stream in (False, True):
        await client.post(
            "/v1/chat/completions",
            json={**model, "messages": turns, "stream": stream, "user": MARK},
            headers=blue,
        )
    await client.post("/complete", json={"prompt": MARK, "model": MARK}, headers=blue)
    for kind, body in (
        ("files", {"purpose": "batch"}),
        ("responses", {**model, "input": ASKED}),
        ("conversations", {"metadata": {"topic": MARK}}),
        ("batches", {"endpoint": "/v1/responses"}),
        ("messages/batches", {"requests": []}),
    ):
        answer = await client.post(f"/v1/{kind}", json=body, headers={**blue, **ANTHROPIC} if "messages" in kind else blue)  # noqa: E501 # fmt: skip
        assert answer.status_code == 200, (kind, answer.text)
        ids[kind].append(answer.json()["id"])
    return ids


def seen(answer: httpx.Response) -> dict[str, Any]:
    """What a client sees of an answer, but its own request id and the time."""
    hidden = ("x-request-id", "date", "content-length", "request-id")
    headers = {k: v for k, v in answer.headers.items() if k not in hidden}
    body = re.sub(r'"(request_id|since)": ?"[^"]*"', "", answer.text)
    if answer.headers.get("content-type", "").startswith("text/html"):
        body = re.sub(r"\b[A-Za-z0-9]{64}\b", "", body)  # the form's own token
    return {"status": answer.status_code, "headers": headers, "body": body}


def readable(path: str) -> bool:
    return not ("<" in path or path.startswith(OF_OPERATORS) or OF_DEVELOPERS.match(path))


async def read_all(client: httpx.AsyncClient, red: dict[str, str]) -> dict[str, Any]:
    """What red sees at every path that can be read without an id."""
    answers = {}
    for path in filter(readable, ALL_PATHS):
        query = {"prompt": "How are you?"} if plain(path) in CHOICES else {}
        for more in ({}, ANTHROPIC) if plain(path) in {"files", "models"} else ({},):
            answer = await client.get(f"/{path}", params=query, headers={**red, **more})
            answers[f"{path} {sorted(more)}"] = seen(answer)
    return answers


async def test_nothing_that_another_does_shows_anywhere(client: httpx.AsyncClient) -> None:
    red, blue = await key_of("red"), await key_of("blue")
    own = await client.post("/complete", json={"prompt": "How are you?"}, headers=red)
    assert own.status_code == 200, own.text
    before = await read_all(client, red)
    ids = await blue_acts(client, blue)
    assert await RequestRecord.objects.filter(tenant="team:blue").acount() >= 5
    assert await ProviderObject.objects.filter(tenant="team:blue").acount() == len(OBJECTS)
    after = await read_all(client, red)
    secrets = [MARK, *(given for kind in ids.values() for given in kind)]
    for path, answer in after.items():
        text = json.dumps(answer)
        assert not [secret for secret in secrets if secret in text], path
        known = before[path]
        if plain(path.split()[0]) in CHOICES:
            continue  # learned from all together: bounded by test_tenant_shares
        if plain(path.split()[0]) in NEEDS_READ or path.startswith(OF_MANAGERS):
            assert answer["status"] == 403, path
        assert answer == known, path


async def test_its_ids_are_answered_as_unknown_ones(client: httpx.AsyncClient) -> None:
    red, blue = await key_of("red"), await key_of("blue")
    ids = await blue_acts(client, blue)
    objects = [path for path in ALL_PATHS if path.startswith("v1/") and "<str:object_id>" in path]
    assert objects
    for path in objects:
        kind = next(k for k in sorted(OBJECTS, key=len)[::-1] if path.startswith(f"v1/{k}/"))
        more = ANTHROPIC if kind == "messages/batches" else {}
        for method in ("GET", "POST", "DELETE"):
            answers = []
            for object_id in (ids[kind][0], "never-seen-7"):
                place = path.replace("<str:object_id>", object_id).replace("<str:item_id>", "x")
                answer = await client.request(
                    method, f"/{place}", headers={**red, **more}, json=None
                )
                text = json.dumps(seen(answer)).replace(object_id, "ID")
                answers.append((answer.status_code, text))
            assert answers[0] == answers[1], (method, path)
            assert answers[0][0] in {404, 405}, (method, path)


async def test_its_sessions_are_answered_as_unknown_ones(client: httpx.AsyncClient) -> None:
    red, blue = await key_of("red"), await key_of("blue")
    ids = await blue_acts(client, blue)
    turns = {"model": "openai/gpt-6-luna", "messages": [{"role": "user", "content": ASKED}]}
    sent = {**blue, "x-session-id": f"{MARK}-run"}
    answer = await client.post("/v1/chat/completions", json=turns, headers=sent)
    known = [f"{MARK}-run", answer.headers["x-request-id"], answer.json()["id"]]
    places = [path for path in ALL_PATHS if plain(path) == "sessions/<>"]
    assert len(places) >= 2
    for place in places:
        prefix = re.sub(r"<[^>]*>", "", place)
        mine = await client.get(f"/{prefix}{known[0]}", headers=blue)
        assert mine.status_code == 200, mine.text
        unknown = seen(await client.get(f"/{prefix}never-seen-7", headers=red))
        assert unknown["status"] == 404
        for given in (*known, *ids["request_id"], *ids["responses"]):
            answer = await client.get(f"/{prefix}{given}", headers=red)
            assert json.loads(json.dumps(seen(answer)).replace(given, "never-seen-7")) == unknown
    # The same id of two tenants is two sessions.
    await client.post(
        "/v1/chat/completions",
        json={**turns, "messages": [{"role": "user", "content": "How are you?"}]},
        headers={**red, "x-session-id": f"{MARK}-run"},
    )
    for headers, requests in ((red, 1), (blue, 1)):
        own = (await client.get(f"/v1/sessions/{MARK}-run", headers=headers)).json()
        assert own["requests"] == requests
        assert len(own["calls"]) == requests


async def test_its_ids_in_bodies_are_answered_as_unknown_ones(client: httpx.AsyncClient) -> None:
    red, blue = await key_of("red"), await key_of("blue")
    ids = await blue_acts(client, blue)
    model = {"model": "openai/gpt-6-luna"}

    def file_part(file_id: str) -> list[dict[str, Any]]:
        return [{"role": "user", "content": [{"type": "file", "file": {"file_id": file_id}}]}]

    def claude_part(file_id: str) -> list[dict[str, Any]]:
        source = {"type": "file", "file_id": file_id}
        return [{"role": "user", "content": [{"type": "document", "source": source}]}]

    def input_part(file_id: str) -> list[dict[str, Any]]:
        return [{"role": "user", "content": [{"type": "input_file", "file_id": file_id}]}]

    claude = {"model": "claude-haiku-5-5", "max_tokens": 9}
    tool = {"type": "code_interpreter", "container": {"type": "auto"}}
    cases: list[tuple[str, str, Any]] = [
        ("/feedback", "cache_key", lambda i: {"cache_key": i, "rating": -1}),
        ("/feedback", "request_id", lambda i: {"request_id": i, "rating": -1}),
        ("/v1/responses", "responses", lambda i: {
            **model, "input": "x", "previous_response_id": i,
        }),
        ("/v1/responses", "conversations", lambda i: {**model, "input": "x", "conversation": i}),
        ("/v1/responses", "files", lambda i: {**model, "input": input_part(i)}),
        ("/v1/responses", "files", lambda i: {
            **model, "input": "x",
            "tools": [{**tool, "container": {"type": "auto", "file_ids": [i]}}],
        }),
        ("/v1/responses/input_tokens", "files", lambda i: {**model, "input": input_part(i)}),
        ("/v1/responses/compact", "files", lambda i: {**model, "input": input_part(i)}),
        ("/v1/chat/completions", "files", lambda i: {**model, "messages": file_part(i)}),
        ("/v1/messages", "files", lambda i: {**claude, "messages": claude_part(i)}),
        ("/v1/messages/count_tokens", "files", lambda i: {**claude, "messages": claude_part(i)}),
        ("/v1/batches", "files", lambda i: {"input_file_id": i, "endpoint": "/v1/responses"}),
    ]  # fmt: skip
    unknown = {"cache_key": "0" * 64, "request_id": str(uuid.uuid4())}
    for path, kind, body in cases:
        answers = []
        for given in (ids[kind][0], unknown.get(kind, "never-seen-7")):
            answer = await client.post(path, json=body(given), headers={**red, **ANTHROPIC} if "messages" in path else red)  # noqa: E501 # fmt: skip
            answers.append((answer.status_code, json.dumps(seen(answer)).replace(given, "ID")))
        assert answers[0] == answers[1], path
        assert answers[0][0] == 404, (path, answers[0])


async def test_an_answer_of_another_is_no_hit(client: httpx.AsyncClient) -> None:
    """Neither the header nor a call that is left out (its time) shows that another asked."""
    red, blue = await key_of("red"), await key_of("blue")
    for sent in ({"prompt": ASKED}, {"prompt": ASKED, "auto_route": True}):
        theirs = (await client.post("/complete", json=sent, headers=blue)).json()
        mine = (await client.post("/complete", json=sent, headers=red)).json()
        assert mine["cache_hit"] is False
        assert mine["cache_key"] != theirs["cache_key"]
    turns = {"model": "openai/gpt-6-luna", "messages": [{"role": "user", "content": ASKED}]}
    for headers in (blue, red):
        answer = await client.post("/v1/chat/completions", json=turns, headers=headers)
        assert answer.headers["x-optimizer-cache"] == "miss"
        assert "x-ratelimit-remaining-tokens" not in answer.headers


async def test_no_page_of_the_admin_opens_to_an_api_key(client: httpx.AsyncClient) -> None:
    red, blue = await key_of("red"), await key_of("blue")
    await blue_acts(client, blue)
    for path in ALL_PATHS:
        if path.startswith(OF_OPERATORS) and not re.search(r"[<(]", path):
            answer = await client.get(f"/{path}", headers=red)
            assert MARK not in answer.text, path
            assert path == "admin/login/" or answer.status_code != 200 or "jsi18n" in path, path


async def test_no_page_of_a_developer_opens_to_an_api_key_in_a_header(
    client: httpx.AsyncClient,
) -> None:
    blue = await key_of("blue")
    await blue_acts(client, blue)
    for path in filter(OF_DEVELOPERS.match, ALL_PATHS):
        if not re.search(r"[<(]", path):
            answer = await client.get(f"/{path}", headers=blue)
            assert MARK not in answer.text, path
            # The page of a sign-in that failed is for anybody; it needs a reason.
            assert path == "me/" or answer.status_code in {302, 400, 405}, path


async def test_a_browser_at_me_gets_the_page_and_a_program_the_figures(
    client: httpx.AsyncClient,
) -> None:
    blue = await key_of("blue")
    html = {"accept": "text/html,*/*;q=0.8"}
    answer = await client.get("/me", headers=html)
    assert (answer.status_code, answer.headers["location"]) == (302, "/me/")
    assert "With an API key" in (await client.get("/me/")).text
    for headers in (blue, {**blue, **html}):
        assert (await client.get("/me", headers=headers)).json()["name"] == "blue"
    for path, headers in (("/me", {}), ("/v1/me", html), ("/me/usage", html), ("/me/usage/", {})):
        assert (await client.get(path, headers=headers)).status_code == 401, path
