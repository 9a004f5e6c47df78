"""Every id that a client sees leads an operator to the session, on each wire."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.models import AgentSession
from analytics.reports.sessions import sessions_with

pytestmark = pytest.mark.django_db(transaction=True)
AGENT = {"user-agent": "opencode/1.18.33 ai-sdk/provider-utils/4.0.23", "x-session-id": "the-run"}
MODELS = ("claude-haiku-5-5", "gemini-3.8-flash", "z-ai/glm-5.3-flash")
TURN = [{"role": "user", "content": "What is the capital of France?"}]
WIRES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": TURN}),
    "completions": ("/v1/completions", {"prompt": "The capital of France is"}),
    "responses": ("/v1/responses", {"input": "What is the capital of France?"}),
    "messages": ("/v1/messages", {"messages": TURN, "max_tokens": 50}),
    "gemini": ("/v1beta/models/{model}:{method}",
               {"contents": [{"role": "user", "parts": [{"text": "What is the capital?"}]}]}),
}  # fmt: skip


def ids_of(reply: httpx.Response) -> set[str]:
    """The ids of a reply: of its answer, its request and its session."""
    ids = {reply.headers["x-request-id"], reply.headers["x-optimizer-session"]}
    text = reply.text
    bodies = [line[6:] for line in text.splitlines() if line.startswith("data: {")]
    for body in map(json.loads, bodies or [text]):
        for holder in (body, body.get("message"), body.get("response")):
            if isinstance(holder, dict):
                ids |= {holder.get("id"), holder.get("responseId")} - {None}
    return ids


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("model", MODELS)
async def test_an_operator_finds_the_session(
    client: httpx.AsyncClient, wire: str, model: str, stream: bool
) -> None:
    path, body = WIRES[wire]
    if wire == "completions" and "/" in model:
        pytest.skip("this fake has no such path")
    if wire == "gemini":
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        path = path.format(model=model, method=method)
    else:
        body = {**body, "model": model, "stream": stream}
    ids: set[str] = set()
    for _ in range(2):  # the second one may come from the cache
        reply = await client.post(path, json=body, headers=AGENT)
        assert reply.status_code == 200, reply.text
        ids |= ids_of(reply)
    assert "the-run" in ids
    assert len(ids) > 2

    def lost() -> list[str]:
        everything = AgentSession.objects.filter(sub_agent="")
        return [i for i in sorted(ids) if not sessions_with(everything, i).exists()]

    assert await sync_to_async(lost)() == []


async def test_complete_is_one_of_them(client: httpx.AsyncClient) -> None:
    body = {"prompt": "What is the capital of France?", "session": "the-run"}
    reply = await client.post("/complete", json=body)
    for term in ("the-run", reply.json()["request_id"], reply.headers["x-request-id"]):
        rows = sync_to_async(lambda t=term: sessions_with(AgentSession.objects.all(), t).exists())
        assert await rows(), term
