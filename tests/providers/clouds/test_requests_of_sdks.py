"""What we send to each cloud is what its official SDK sends for the same question.

Both ask the same fake; path, query, body and what the cloud reads of the headers must be equal.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anthropic
import boto3
import openai
import pytest
from botocore.config import Config
from google import genai
from google.genai.types import GenerateContentConfig, HttpOptions
from google.oauth2.credentials import Credentials

from providers.bedrock.client import BedrockClaudeProvider, BedrockProvider
from providers.chat import Chat, Message, Text, Tool
from providers.clouds.azure import AzureClaudeProvider, AzureProvider
from providers.clouds.client import CloudClient
from providers.clouds.credentials import Fetched, Renewed
from providers.clouds.vertex import VertexClaudeProvider, VertexProvider
from providers.completion import CompletionRequest
from providers.errors import ProviderError
from providers.http.transport import HttpClient
from tests.fakes.clouds import LOCATION, PROJECT, REGION, TOKEN
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import KEY

QUESTION, LIMIT = "What is the capital of France?", 300
SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
CHAT = Chat(
    (Message("system", (Text("Be brief."),)), Message("user", (Text(QUESTION),))),
    LIMIT,
    tools=(Tool("look", "Look.", SCHEMA),),
    temperature=0.5,
)
CLAUDE = "claude-haiku-4-5"
Ask = Callable[[str, bool], Awaitable[Any]]


async def ask_azure(url: str, stream: bool, version: str = "2024-10-21") -> None:
    client = openai.AsyncAzureOpenAI(
        azure_endpoint=url, api_key=KEY, api_version=version, max_retries=0
    )
    async with client:
        await _chat(client, "prod-sol", stream)


async def ask_azure_v1(url: str, stream: bool) -> None:
    """The API v1 is asked by OpenAI's usual client, as Microsoft documents."""
    headers = {"api-key": KEY}
    client = openai.AsyncOpenAI(
        base_url=f"{url}/openai/v1", api_key="unused", default_headers=headers, max_retries=0
    )
    async with client:
        await _chat(client, "prod-sol", stream)


async def _chat(client: Any, model: str, stream: bool) -> None:
    function = {"name": "look", "description": "Look.", "parameters": SCHEMA}
    await client.chat.completions.create(
        model=model,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": QUESTION},
        ],
        max_completion_tokens=LIMIT,
        temperature=0.5,
        tools=[{"type": "function", "function": function}],
        tool_choice="auto",
        **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
    )


async def _message(client: Any, model: str, stream: bool) -> None:
    await client.messages.create(
        model=model,
        max_tokens=LIMIT,
        system="Be brief.",
        messages=[{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
        extra_body={"temperature": 0.5},
        tools=[{"name": "look", "description": "Look.", "input_schema": SCHEMA}],
        tool_choice={"type": "auto"},
        stream=stream,
    )


async def ask_foundry(url: str, stream: bool) -> None:
    client = anthropic.AsyncAnthropicFoundry(
        base_url=f"{url}/anthropic/", api_key=KEY, max_retries=0
    )
    async with client:
        await _message(client, CLAUDE, stream)


async def ask_vertex_claude(url: str, stream: bool) -> None:
    client = anthropic.AsyncAnthropicVertex(
        base_url=f"{url}/v1", region=LOCATION, project_id=PROJECT, access_token=TOKEN,
        max_retries=0,
    )  # fmt: skip
    async with client:
        await _message(client, "claude-haiku-4-5@20251001", stream)


async def ask_bedrock_claude(url: str, stream: bool) -> None:
    client = anthropic.AsyncAnthropicBedrock(
        base_url=url, aws_region=REGION, api_key=KEY, max_retries=0
    )
    async with client:
        await _message(client, f"global.anthropic.{CLAUDE}-20251001-v1:0", stream)


async def ask_vertex(url: str, stream: bool) -> None:
    client = genai.Client(
        vertexai=True, project=PROJECT, location=LOCATION, credentials=Credentials(TOKEN),
        http_options=HttpOptions(base_url=url, api_version="v1"),
    )  # fmt: skip
    declaration = {"name": "look", "description": "Look.", "parametersJsonSchema": SCHEMA}
    config = GenerateContentConfig.model_validate(
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "maxOutputTokens": LIMIT,
            "temperature": 0.5,
            "tools": [{"functionDeclarations": [declaration]}],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
        }
    )
    arguments: Any = {"model": "gemini-3.8-flash", "contents": QUESTION, "config": config}
    models = client.models
    ask = models.generate_content_stream if stream else models.generate_content
    try:
        await asyncio.to_thread(lambda: list(ask(**arguments)))
    finally:
        client.close()


async def ask_bedrock(url: str, stream: bool) -> None:
    """Boto3, with signatures: their own test is in tests/providers/bedrock."""
    client = boto3.client(
        "bedrock-runtime", region_name=REGION, endpoint_url=url, aws_access_key_id="a",
        aws_secret_access_key="b", config=Config(retries={"max_attempts": 0}),
    )  # fmt: skip
    call = client.converse_stream if stream else client.converse
    tool = {"name": "look", "description": "Look.", "inputSchema": {"json": SCHEMA}}
    ask = partial(
        call,
        modelId="global.amazon.nova-2-lite-v1:0",
        system=[{"text": "Be brief."}],
        messages=[{"role": "user", "content": [{"text": QUESTION}]}],
        inferenceConfig={"maxTokens": LIMIT, "temperature": 0.5},
        toolConfig={"tools": [{"toolSpec": tool}]},
    )
    try:
        await asyncio.to_thread(ask)
    finally:
        client.close()


AZURE = {"deployments": "gpt-6.1-sol=prod-sol"}
VERTEX = {"project": PROJECT, "location": LOCATION}
HEADERS = ("api-key", "x-api-key", "authorization", "anthropic-beta")
CASES: dict[str, tuple[Ask, type[CloudClient], str, dict[str, str], str, str]] = {
    "azure, dated": (
        ask_azure, AzureProvider, "gpt-6.1-sol", {**AZURE, "api_version": "2024-10-21"}, "", KEY,
    ),
    "azure, v1": (ask_azure_v1, AzureProvider, "gpt-6.1-sol", AZURE, "", KEY),
    "foundry": (ask_foundry, AzureClaudeProvider, CLAUDE, {}, "/anthropic", KEY),
    "vertex": (ask_vertex, VertexProvider, "gemini-3.8-flash", VERTEX, "", ""),
    "vertex, claude": (
        ask_vertex_claude, VertexClaudeProvider, "claude-haiku-4-5-20251001", VERTEX, "", "",
    ),
    "bedrock, claude": (
        ask_bedrock_claude, BedrockClaudeProvider, f"global.anthropic.{CLAUDE}-20251001-v1:0",
        {"region": REGION}, "", KEY,
    ),
    "bedrock": (
        ask_bedrock, BedrockProvider, "global.amazon.nova-2-lite-v1:0", {"region": REGION}, "", KEY,
    ),
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_request_is_the_sdk_s(
    case: tuple[Ask, type[CloudClient], str, dict[str, str], str, str],
    stream: bool,
    http: HttpClient,
) -> None:
    ask, kind, model, settings, below, key = case
    async with FakeProvider(lambda asked: Reply({"message": "no"}, 400)) as fake:
        with pytest.raises(Exception) as refused:  # noqa: PT011 - each SDK has its own
            await ask(fake.url, stream)
        assert fake.asked, refused.value
        client = kind("cloud", http, f"{fake.url}{below}", key)
        client.configure(settings)
        if not key:
            client.credential = Renewed("cloud", "json", lambda: Fetched(TOKEN))
        request = CompletionRequest(model, CHAT)
        with pytest.raises(ProviderError):
            if stream:
                async for _ in client.stream(request):
                    pass
            else:
                await client.complete(request)
        await client.aclose()
        theirs, ours = fake.asked
    assert _decoded(ours) == _decoded(theirs)
    assert _comparable(kind, ours.body) == _comparable(kind, theirs.body)
    if kind is not BedrockProvider:
        assert _proof(ours) == _proof(theirs)


def _decoded(asked: Asked) -> tuple[str, str]:
    """The path and the query; whether a colon of the path is escaped says nothing."""
    return asked.path, asked.query


def _proof(asked: Asked) -> dict[str, str]:
    proof = {name: asked.headers[name] for name in HEADERS if name in asked.headers}
    if "x-api-key" in proof:
        proof.pop("api-key", None)  # Foundry's SDK sends both, and the endpoint reads this one
    if proof.get("authorization") == "Bearer unused":
        del proof["authorization"]  # OpenAI's client cannot be without one
    return proof


def _comparable(kind: type[CloudClient], body: dict[str, Any]) -> dict[str, Any]:
    """The body without what its writers are free in."""
    body = dict(body)
    # The SDKs name the version of the API that they were made for, which older models refuse.
    body.pop("anthropic_version", None)
    if kind in (VertexClaudeProvider, AzureClaudeProvider, BedrockClaudeProvider):
        body.setdefault("stream", False)
    if "systemInstruction" in body:
        body["systemInstruction"] = {"parts": body["systemInstruction"]["parts"]}
        # Google reads both spellings, and its SDK writes this name in snake_case.
        text = json.dumps(body).replace("parameters_json_schema", "parametersJsonSchema")
        body = json.loads(text)
    return body
