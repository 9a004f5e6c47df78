"""The clouds that companies buy from: each answers whole, streamed, with tools, and is paid right.

The fakes check the address, the version, and the proof of who calls; botocore itself checks the
signatures and the bodies of its Converse API.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from analytics.models import RequestRecord
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.clouds import (
    ACCESS_KEY,
    CALL_ID,
    LOCATION,
    PROJECT,
    REGION,
    SECRET_KEY,
    TOKEN,
    TOOL_NAME,
    BedrockWire,
    azure_wire,
    bearer_check,
    bedrock_refusal,
    foundry_wire,
    google_refusal,
    openai_refusal,
    signature_check,
    vertex_wire,
)
from tests.fakes.server import Asked, FakeProvider, Reply, Wire
from tests.fakes.wires import ANSWER, KEY

CHATS, MESSAGES = "/v1/chat/completions", "/v1/messages"
ASK = [{"role": "user", "content": "What is the capital of France?"}]
PARAMETERS = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
TOOL = {"type": "function", "function": {"name": TOOL_NAME, "parameters": PARAMETERS}}
Identity = Callable[[Asked], Reply]


def app_service(asked: Asked) -> Reply:
    """The managed identity of an app on Azure.

    https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
    """
    wanted = "https://cognitiveservices.azure.com"
    if asked.headers.get("x-identity-header") != "secret" or wanted not in asked.query.replace(
        "%3A", ":"
    ).replace("%2F", "/"):
        return Reply({"error": "invalid_request"}, 400)
    ends = int(time.time()) + 86_000
    return Reply({"access_token": TOKEN, "expires_on": str(ends), "token_type": "Bearer"})


GOOGLE_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def google_tokens(asked: Asked) -> Reply:
    """Google's tokens for a service account, which signs for itself (RFC 7523)."""
    form = dict(pair.split("=", 1) for pair in asked.raw.decode().split("&"))
    claims = jwt.decode(
        form["assertion"], GOOGLE_KEY.public_key(), ["RS256"], options={"verify_aud": False}
    )
    if claims["scope"] != "https://www.googleapis.com/auth/cloud-platform":
        return Reply({"error": "invalid_scope"}, 400)
    return Reply({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"})


def container_role(asked: Asked) -> Reply:
    """The role of a container on AWS, whose credentials end.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
    """
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    return Reply(
        {
            "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": "of-the-session",
            "Expiration": ends,
        }
    )  # fmt: skip


@dataclass(frozen=True)
class Cloud:
    """One way to buy: the environment that configures it, and how its fake answers.

    ``{url}`` in the environment is the fake's address, ``{identity}`` that of what gives tokens.
    """

    name: str
    provider: str
    model: str
    wire: Callable[[str], Wire]
    environment: dict[str, str]
    identity: Identity | None = None
    usage: tuple[int, int, int, int] = (20, 4, 0, 9)
    refusal: Reply = field(default_factory=lambda: bedrock_refusal(429, "ThrottlingException", "!"))

    def __str__(self) -> str:
        return self.name


STATIC = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
BEDROCK = {"BEDROCK_REGION": REGION, "BEDROCK_BASE_URL": "{url}"}
VERTEX = {
    "VERTEX_PROJECT": PROJECT, "VERTEX_LOCATION": LOCATION, "VERTEX_BASE_URL": "{url}",
    "GOOGLE_APPLICATION_CREDENTIALS": "{account}",
}  # fmt: skip
AZURE = {
    "AZURE_OPENAI_ENDPOINT": "{url}/", "AZURE_OPENAI_DEPLOYMENTS": "gpt-6.1-sol=prod-sol",
}  # fmt: skip
FOUNDRY = {
    "ANTHROPIC_FOUNDRY_BASE_URL": "{url}/anthropic",
    "ANTHROPIC_FOUNDRY_DEPLOYMENTS": "claude-haiku-4-5=haiku",
    "IDENTITY_ENDPOINT": "{identity}/msi/token", "IDENTITY_HEADER": "secret",
}  # fmt: skip
CACHED = (20, 4, 3, 9)
GOOGLE_429 = google_refusal(429, "Resource exhausted")
CLOUDS = [
    Cloud(
        "azure", "azure", "gpt-6.1-sol", lambda url: azure_wire("prod-sol"),
        {**AZURE, "AZURE_OPENAI_API_KEY": KEY}, refusal=openai_refusal(429, "!"),
    ),
    Cloud(
        "azure, a dated version", "azure", "gpt-6.1-sol",
        lambda url: azure_wire("prod-sol", version="2024-10-21"),
        {**AZURE, "AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_API_VERSION": "2024-10-21"},
        refusal=openai_refusal(429, "!"),
    ),
    Cloud(
        "azure, a managed identity", "azure", "gpt-6.1-sol",
        lambda url: azure_wire("prod-sol", header=("authorization", f"Bearer {TOKEN}")),
        {**AZURE, "IDENTITY_ENDPOINT": "{identity}/msi/token", "IDENTITY_HEADER": "secret"},
        app_service, refusal=openai_refusal(429, "!"),
    ),
    Cloud(
        "foundry", "azure-claude", "claude-haiku-4-5", lambda url: foundry_wire("haiku"), FOUNDRY,
        app_service, CACHED, refusal=openai_refusal(429, "!"),
    ),
    Cloud(
        "vertex", "vertex", "gemini-3.8-flash", lambda url: vertex_wire, VERTEX, google_tokens,
        refusal=GOOGLE_429,
    ),
    Cloud(
        "vertex, claude", "vertex-claude", "claude-haiku-4-5@20251001", lambda url: vertex_wire,
        VERTEX, google_tokens, CACHED, refusal=GOOGLE_429,
    ),
    Cloud(
        "bedrock", "bedrock", "openai.gpt-oss-20b-1:0",
        lambda url: BedrockWire(signature_check(url)),
        {**BEDROCK, **STATIC}, None, CACHED,
    ),
    Cloud(
        "bedrock, a role", "bedrock", "eu.amazon.nova-2-lite-v1:0",
        lambda url: BedrockWire(signature_check(url)),
        {**BEDROCK, "BEDROCK_PROFILE": "eu",
         "AWS_CONTAINER_CREDENTIALS_FULL_URI": "{identity}/role"},
        container_role, CACHED,
    ),
    Cloud(
        "bedrock, an API key", "bedrock", "openai.gpt-oss-120b-1:0",
        lambda url: BedrockWire(bearer_check(KEY)),
        {**BEDROCK, "AWS_BEARER_TOKEN_BEDROCK": KEY}, None, CACHED,
    ),
    Cloud(
        "bedrock, claude", "bedrock-claude", "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
        lambda url: BedrockWire(signature_check(url)),
        {**BEDROCK, **STATIC, "BEDROCK_PROFILE": "eu"}, None, CACHED,
    ),
]  # fmt: skip


class Reached:
    """The service with one cloud, and a fake of that."""

    def __init__(self, cloud: Cloud, fake: FakeProvider, client: httpx.AsyncClient) -> None:
        self.cloud = cloud
        self.fake = fake
        self._client = client

    async def ask(self, path: str = CHATS, **body: Any) -> httpx.Response:
        headers = {"cache-control": "no-store"}
        named = {"model": f"{self.cloud.provider}/{self.cloud.model}", "max_tokens": 300}
        body = {**named, "messages": ASK, **body}
        return await self._client.post(path, json=body, headers=headers)

    async def paid(self) -> RequestRecord:
        """The record of the last request: the tokens of the fake, at the prices of the table."""
        record = await RequestRecord.objects.order_by("-created_at").afirst()
        assert record is not None
        assert (record.provider, record.model) == (self.cloud.provider, self.cloud.model)
        counts = (record.tokens_in, record.cache_read_tokens, record.cache_write_tokens)
        assert (*counts, record.tokens_out) == self.cloud.usage
        assert record.price_basis == "table"
        assert record.cost == self.price()
        return record

    def price(self) -> Decimal:
        rates = get_services().prices.rates(self.cloud.provider, self.cloud.model)
        assert rates is not None
        given, read, written, output = self.cloud.usage
        total = rates.input.base * (given - read - written) + rates.output.base * output
        total += (rates.cache_read or rates.input).base * read
        total += (rates.cache_write or rates.input).base * written
        return (total / 1_000_000).quantize(Decimal("1e-10"))


@pytest.fixture
def account(tmp_path: Path) -> Path:
    return tmp_path / "account.json"


def write_account(path: Path, token_uri: str) -> None:
    """The file of a service account, as Google gives it."""
    key = GOOGLE_KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    about = {
        "type": "service_account", "project_id": PROJECT, "private_key_id": "1",
        "private_key": key.decode(), "client_email": f"x@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "1", "token_uri": token_uri,
    }  # fmt: skip
    path.write_text(json.dumps(about))


@pytest.fixture(params=CLOUDS, ids=str)
async def reached(
    request: pytest.FixtureRequest,
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    account: Path,
    start: Start,
) -> AsyncIterator[Reached]:
    cloud: Cloud = request.param
    settings.PROVIDER_RETRIES = 0
    monkeypatch.setenv("AWS_CONFIG_FILE", str(account.parent / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(account.parent / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with AsyncExitStack() as stack:
        fake = FakeProvider(lambda asked: wire(asked))
        await stack.enter_async_context(fake)
        wire = cloud.wire(fake.url)
        identity = FakeProvider(cloud.identity or (lambda asked: Reply(status=500)))
        await stack.enter_async_context(identity)
        write_account(account, f"{identity.url}/token")
        places = {"url": fake.url, "identity": identity.url, "account": str(account)}
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value.format(**places))
        client = await start()
        yield Reached(cloud, fake, client)


async def test_a_cloud_answers_and_is_paid(reached: Reached) -> None:
    """One start of the service is for all questions, because it takes longer than they do."""
    await check_a_whole_answer(reached)
    await check_a_streamed_answer(reached)
    await check_a_call_of_a_tool_for_a_client_of_anthropic(reached, stream=False)
    await check_a_call_of_a_tool_for_a_client_of_anthropic(reached, stream=True)
    await check_the_result_of_a_tool_goes_back(reached)
    # Others see no pictures, or these are written as for the maker's own API.
    if "claude" in reached.cloud.model or "nova" in reached.cloud.model:
        await check_pictures_and_thinking_reach_the_model(reached)
    if reached.cloud.provider in ("vertex-claude", "bedrock-claude"):
        await check_tokens_are_counted_by_the_cloud(reached)


async def test_a_cloud_that_refuses(reached: Reached) -> None:
    await check_denied_access_is_said_without_a_secret(reached)
    await check_too_many_requests_cool_the_model_down(reached)


async def check_a_whole_answer(reached: Reached) -> None:
    answer = await reached.ask()
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == ANSWER
    await reached.paid()


async def check_a_streamed_answer(reached: Reached) -> None:
    answer = await reached.ask(stream=True)
    assert answer.status_code == 200, answer.text
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line[:7] == "data: {"]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == ANSWER
    await reached.paid()


async def check_a_call_of_a_tool_for_a_client_of_anthropic(reached: Reached, stream: bool) -> None:
    tool = {"name": TOOL_NAME, "description": "Look.", "input_schema": PARAMETERS}
    answer = await reached.ask(MESSAGES, tools=[tool], stream=stream)
    assert answer.status_code == 200, answer.text
    if stream:
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line[:5] == "data:"]
        begun = next(e for e in events if e.get("content_block", {}).get("type") == "tool_use")
        assert begun["content_block"]["name"] == TOOL_NAME
        given = "".join(e["delta"].get("partial_json", "") for e in events if "delta" in e)
        assert json.loads(given) == {"at": "the sky"}
        assert events[-2]["delta"]["stop_reason"] == "tool_use"
    else:
        body = answer.json()
        (call,) = [block for block in body["content"] if block["type"] == "tool_use"]
        assert (call["name"], call["input"]) == (TOOL_NAME, {"at": "the sky"})
        assert body["stop_reason"] == "tool_use"
    await reached.paid()


async def check_the_result_of_a_tool_goes_back(reached: Reached) -> None:
    function = {"name": TOOL_NAME, "arguments": '{"at": "the sky"}'}
    called = [{"id": CALL_ID, "type": "function", "function": function}]
    turns = [
        {"role": "system", "content": "Be brief."},
        *ASK,
        {"role": "assistant", "content": None, "tool_calls": called},
        {"role": "tool", "tool_call_id": CALL_ID, "content": "It is blue."},
    ]
    answer = await reached.ask(messages=turns, tools=[TOOL], temperature=0.5, stop=["END"])
    assert answer.status_code == 200, answer.text
    assert "It is blue." in reached.fake.asked[-1].raw.decode()


async def check_too_many_requests_cool_the_model_down(reached: Reached) -> None:
    refusal = reached.cloud.refusal
    headers = {**refusal.headers, "retry-after": "120"}
    reached.fake.always(Reply(refusal.body, refusal.status, headers))
    answer = await reached.ask()
    assert answer.status_code == 429, answer.text
    assert 100 < int(answer.headers["retry-after"]) <= 120
    reached.fake.always(None)
    # The cloud said how long: it is not called before.
    calls = len(reached.fake.asked)
    assert (await reached.ask()).status_code == 429
    assert len(reached.fake.asked) == calls


async def check_denied_access_is_said_without_a_secret(reached: Reached) -> None:
    secret = KEY if KEY in reached.cloud.environment.values() else TOKEN
    if reached.cloud.identity is None and secret == TOKEN:
        secret = ACCESS_KEY  # a signature has no secret in it
    words = "no identity-based policy" if secret == ACCESS_KEY else f"{secret} is not allowed"
    reached.fake.always(bedrock_refusal(403, "AccessDeniedException", words))
    answer = await reached.ask()
    assert answer.status_code >= 400, answer.text
    assert secret not in answer.text
    assert SECRET_KEY not in answer.text
    record = await RequestRecord.objects.order_by("-created_at").afirst()
    assert record is None or record.cost in (None, Decimal(0))


async def check_pictures_and_thinking_reach_the_model(reached: Reached) -> None:
    picture = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    content = [{"type": "image", "source": picture}, {"type": "text", "text": "What is this?"}]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    answer = await reached.ask(
        MESSAGES,
        messages=[{"role": "user", "content": content}],
        thinking=thinking,
        max_tokens=2000,
    )
    assert answer.status_code == 200, answer.text
    body = reached.fake.asked[-1].body
    assert "iVBORw0KGgo=" in json.dumps(body["messages"])
    if "nova" in reached.cloud.model:
        config = body["additionalModelRequestFields"]["reasoningConfig"]
        assert config == {"type": "enabled", "maxReasoningEffort": "low"}
    else:
        assert body["thinking"] == thinking


async def check_tokens_are_counted_by_the_cloud(reached: Reached) -> None:
    answer = await reached.ask("/v1/messages/count_tokens")
    assert answer.json() == {"input_tokens": 17}, answer.text
