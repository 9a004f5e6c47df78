"""Paths that clients build from a base URL with a slash, a version or a prefix too many or few."""

from __future__ import annotations

import httpx
import pytest

from analytics.models import RequestRecord
from optimizer.api.canonical_paths import canonical_path
from tests.fakes.server import FakeProvider

CHAT = {"model": "claude-haiku-4-5", "max_tokens": 50,
        "messages": [{"role": "user", "content": "What is Paris?"}]}  # fmt: skip
CONTENTS = {"contents": [{"parts": [{"text": "What is Paris?"}]}]}


# https://github.com/FerroxLabs/wayland/issues/1217 (doubled slash and version),
# https://github.com/BerriAI/litellm/issues/36956 (doubled version),
# https://github.com/fredrikburmester/streamystats/issues/491 (no version)
@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages/",
        "//v1/messages",
        "/v1//messages",
        "/v1/v1/messages",
        "/messages",
        "/api/v1/messages",
        "/anthropic/v1/messages",
        "/anthropic/v1/v1/messages",
        "/v1/chat/completions/",
        "/v1//chat/completions",
        "/v1/v1/chat/completions",
        "/chat/completions",
        "/api/v1/chat/completions",
        "/openai/v1/chat/completions",
    ],
)
async def test_a_request_reaches_its_endpoint(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], path: str
) -> None:
    answer = await client.post(f"{path}?beta=true", json=CHAT)
    assert answer.status_code == 200, answer.text
    assert len(fakes["claude"].asked) == 1
    row = await RequestRecord.objects.aget()
    assert row.endpoint == path.rstrip("/").rpartition("/v1")[2].strip("/")


@pytest.mark.parametrize("prefix", ["/v1beta/v1beta", "/v1/v1beta", "//v1beta", "/gemini/v1beta"])
async def test_a_method_of_gemini_is_reached(client: httpx.AsyncClient, prefix: str) -> None:
    path = f"{prefix}/models/gemini-3.5-flash-lite:generateContent"
    assert (await client.post(path, json=CONTENTS)).status_code == 200


async def test_models_are_listed(client: httpx.AsyncClient) -> None:
    usual = (await client.get("/v1/models")).json()
    for path in ("/models", "/v1/models/", "/openai/v1/models"):
        assert (await client.get(path)).json() == usual


@pytest.mark.parametrize(
    "path",
    [
        "/", "/complete", "/api/v1/complete", "/api/v1/manage/keys", "/me/", "/admin/", "//admin/",
        "/docs/", "/v1/messages", "/v1", "/v1/me/usage", "/v2/rerank", "/openai/v1/secret",
        "/v1/sessions//", "/v1/sessions/http://x",
        "/v1beta/models/gemini-3.5-flash-lite:generateContent",
    ],
)  # fmt: skip
def test_other_paths_stay(path: str) -> None:
    assert canonical_path(path) == path


@pytest.mark.parametrize("session", ["https://a.example//b", "a/", "a//"])
def test_the_id_of_a_session_stays_as_the_client_writes_it(session: str) -> None:
    assert canonical_path(f"/v1/sessions/{session}") == f"/v1/sessions/{session}"
