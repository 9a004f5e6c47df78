"""Bedrock's clients: requests of the Converse API, streams with exceptions, errors, signatures.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html; what botocore's
model of it refuses, tests/fakes/clouds.py refuses.
"""

from __future__ import annotations

import base64
import json
from contextlib import aclosing
from typing import Any

import pytest

from providers.bedrock.client import BedrockClaudeProvider, BedrockProvider
from providers.bedrock.converse_request import converse_payload
from providers.chat import (
    Chat,
    File,
    Image,
    JsonOutput,
    Message,
    OriginalRequest,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from providers.completion import CompletionRequest
from providers.errors import (
    AuthenticationFailed,
    ConnectionLost,
    MalformedResponse,
    Overloaded,
    PermissionDenied,
    ProviderError,
    RateLimited,
    RequestRejected,
)
from providers.events import Event, Finished, Relayed, TextDelta, UsageReported
from providers.http.transport import HttpClient
from tests.fakes.clouds import (
    REGION,
    bearer_check,
    bedrock_refusal,
    claude_chunks,
    converse_answer,
    converse_chunks,
    converse_faults,
    event,
    exception,
    torn_apart,
)
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import ANSWER, KEY, anthropic_message

NOVA, OSS = "global.amazon.nova-2-lite-v1:0", "openai.gpt-oss-120b-1:0"
CLAUDE = "global.anthropic.claude-haiku-4-5-20251001-v1:0"
SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}}
TOOLS = (Tool("look", "Look.", SCHEMA), Tool("a.name?with/marks", "", {}))
MARK = {"type": "ephemeral", "ttl": "1h"}
EVENTS = {"content-type": "application/vnd.amazon.eventstream"}


def chat(*turns: Message, **more: Any) -> Chat:
    return Chat(turns or (Message("user", (Text("Hello"),)),), **more)


def body(model: str, given: Chat, lacks: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The request, which botocore's model of the API has nothing against."""
    written = converse_payload(CompletionRequest(model, given, lacks), "bedrock")
    faults = converse_faults(model, written)
    assert faults is None, faults
    return json.loads(json.dumps(written))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("model", "given", "field", "value"),
    [
        (NOVA, chat(max_tokens=7, temperature=1.5, stop=("END",)), "inferenceConfig",
         {"maxTokens": 7, "temperature": 1, "stopSequences": ["END"]}),
        (NOVA, chat(reasoning=Reasoning("high")), "additionalModelRequestFields",
         {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}),
        (NOVA, chat(reasoning=Reasoning("none")), "additionalModelRequestFields",
         {"reasoningConfig": {"type": "disabled"}}),
        (OSS, chat(reasoning=Reasoning("xhigh")), "additionalModelRequestFields",
         {"reasoning_effort": "high"}),
        (CLAUDE, chat(reasoning=Reasoning(budget=2048), max_tokens=4000, temperature=0.2),
         "additionalModelRequestFields", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("meta.llama4-scout-17b-instruct-v1:0", chat(reasoning=Reasoning("high")),
         "additionalModelRequestFields", None),
        (OSS, chat(service_tier="flex"), "serviceTier", {"type": "flex"}),
        (OSS, chat(service_tier="auto"), "serviceTier", None),
        (OSS, chat(output=JsonOutput(SCHEMA, "place")), "outputConfig",
         {"textFormat": {"type": "json_schema", "structure": {
             "jsonSchema": {"schema": json.dumps(SCHEMA), "name": "place"}}}}),
        (OSS, chat(tools=TOOLS, tool_choice=ToolChoice("none")), "toolConfig", None),
    ],
)  # fmt: skip
def test_fields(model: str, given: Chat, field: str, value: Any) -> None:
    assert body(model, given).get(field) == value


def test_thinking_of_claude_leaves_sampling_out() -> None:
    given = chat(reasoning=Reasoning(budget=2048), max_tokens=4000, temperature=0.2, top_p=0.5)
    assert body(CLAUDE, given)["inferenceConfig"] == {"maxTokens": 4000}


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("auto"), None),
        (ToolChoice("required"), {"any": {}}),
        (ToolChoice("named", "look"), {"tool": {"name": "look"}}),
    ],
)
def test_tools_and_the_choice_among_them(choice: ToolChoice, written: Any) -> None:
    config = body(NOVA, chat(tools=TOOLS, tool_choice=choice))["toolConfig"]
    assert config.get("toolChoice") == written
    first, second = (tool["toolSpec"] for tool in config["tools"])
    assert first == {"name": "look", "description": "Look.", "inputSchema": {"json": SCHEMA}}
    assert second["name"] != "a.name?with/marks"
    assert len(second["name"]) <= 64


def test_a_conversation_with_everything() -> None:
    picture = Image("image/png", base64.b64encode(b"png").decode())
    paper = File("application/pdf", base64.b64encode(b"pdf").decode(), name="a/b: final.pdf")
    long_id = "call_" + "x" * 80
    given = chat(
        Message("system", (Text("Be brief.", cache=MARK),)),
        Message("user", (picture, paper)),
        Message("assistant", (
            Thinking("I look.", "sealed", provider="bedrock", model=CLAUDE),
            Thinking("Another's.", "sealed", provider="claude", model=CLAUDE),
            ToolCall(long_id, "look", '{"at": "it"}'),
        )),
        Message("user", (ToolResult(long_id, (Text("Seen."), picture), is_error=True),)),
        tools=TOOLS,
    )  # fmt: skip
    written = body(CLAUDE, given)
    assert written["system"] == [
        {"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": "1h"}},
    ]  # fmt: skip
    asked, called, answered = written["messages"]
    assert asked["content"][0]["image"]["format"] == "png"
    assert asked["content"][1]["document"]["name"] == "a-b- final-pdf"
    assert "text" in asked["content"][2]  # a document needs a text beside it
    thought, call = called["content"]
    assert thought["reasoningContent"]["reasoningText"] == {
        "text": "I look.",
        "signature": "sealed",
    }
    (result,) = answered["content"]
    assert result["toolResult"]["toolUseId"] == call["toolUse"]["toolUseId"]
    assert len(call["toolUse"]["toolUseId"]) <= 64
    assert result["toolResult"]["status"] == "error"


def test_marks_go_only_to_makers_that_cache() -> None:
    given = chat(
        Message("system", (Text("Be brief.", cache=MARK),)), Message("user", (Text("Hi"),))
    )
    assert "cachePoint" in json.dumps(body(NOVA, given))
    assert "cachePoint" not in json.dumps(body(OSS, given))
    # Marks of our own, for a conversation that goes on.
    long = chat(
        Message("system", (Text("word " * 5000),)),
        Message("user", (Text("Hi"),)),
        cache_session="s",
    )
    assert "cachePoint" in json.dumps(body(CLAUDE, long))


def bedrock(fake: FakeProvider, http: HttpClient) -> BedrockProvider:
    client = BedrockProvider("bedrock", http, fake.url, KEY)
    client.configure({"region": REGION})
    return client


def bedrock_claude(fake: FakeProvider, http: HttpClient) -> BedrockClaudeProvider:
    client = BedrockClaudeProvider("bedrock-claude", http, fake.url, KEY)
    client.configure({"region": REGION})
    return client


async def streamed(client: Any, request: CompletionRequest) -> tuple[list[Event], Exception | None]:
    """What was streamed, and the error at the end of it."""
    events: list[Event] = []
    try:
        async with aclosing(client.stream(request)) as stream:
            async for one in stream:
                events.append(one)
    except ProviderError as error:
        return events, error
    return events, None


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
async def test_a_stream_is_read_however_it_is_cut(size: int, http: HttpClient) -> None:
    answer = converse_answer({"serviceTier": {"type": "flex"}}, called=False)
    chunks = torn_apart(converse_chunks(answer), size)
    async with FakeProvider(lambda asked: Reply(chunks=chunks, headers=EVENTS)) as fake:
        events, error = await streamed(bedrock(fake, http), CompletionRequest(NOVA, chat()))
    assert error is None
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == ANSWER
    assert [e.reason for e in events if isinstance(e, Finished)] == ["stop"]
    usage = [e.usage for e in events if isinstance(e, UsageReported)][-1]
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (20, 4, 9)
    assert usage.service_tier == "flex"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("throttlingException", RateLimited),
        ("serviceUnavailableException", Overloaded),
        ("validationException", RequestRejected),
        ("somethingNew", ProviderError),
    ],
)
@pytest.mark.parametrize("claude", [False, True], ids=["converse", "invoke"])
async def test_an_exception_in_a_stream(
    kind: str, error: type[ProviderError], claude: bool, http: HttpClient
) -> None:
    if claude:
        begun = claude_chunks(anthropic_message(CLAUDE))[:4]
    else:
        begun = converse_chunks(converse_answer({}, called=False))[:3]
    chunks = [*begun, exception(kind, "as told")]
    source = OriginalRequest("anthropic", {"messages": [], "max_tokens": 9})
    async with FakeProvider(lambda asked: Reply(chunks=chunks, headers=EVENTS)) as fake:
        client = (bedrock_claude if claude else bedrock)(fake, http)
        given = chat(source=source if claude else None, chosen=False)
        events, raised = await streamed(client, CompletionRequest(CLAUDE, given))
    assert any(isinstance(e, TextDelta) for e in events)
    assert isinstance(raised, error)
    if claude:
        # A client of Anthropic's API gets it in the form of that.
        assert isinstance(raised, ProviderError)
        assert raised.event is not None
        assert raised.event["error"]["message"] == "as told"


@pytest.mark.parametrize(
    ("chunks", "error"),
    [
        ([b"data: {}\n\n" * 30], MalformedResponse),
        ([event("chunk", {"bytes": "x"})[:-4] + b"0000"], MalformedResponse),
        (converse_chunks(converse_answer({}, called=False))[:4], ConnectionLost),
    ],
)
async def test_a_stream_that_is_damaged_or_cut_off(
    chunks: list[bytes], error: type[ProviderError], http: HttpClient
) -> None:
    async with FakeProvider(lambda asked: Reply(chunks=chunks, headers=EVENTS)) as fake:
        _, raised = await streamed(bedrock(fake, http), CompletionRequest(NOVA, chat()))
    assert isinstance(raised, error)


async def test_what_anthropic_sends_arrives_unchanged(http: HttpClient) -> None:
    message = anthropic_message(CLAUDE)
    chunks = torn_apart(claude_chunks(message))
    given = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9, "a_new_field": 1}
    betas = "interleaved-thinking-2025-05-14,files-api-2025-04-14,claude-code-20250219"
    source = OriginalRequest("anthropic", given, {"anthropic-beta": betas})
    async with FakeProvider(lambda asked: Reply(chunks=chunks, headers=EVENTS)) as fake:
        request = CompletionRequest(CLAUDE, chat(source=source, chosen=False))
        events, error = await streamed(bedrock_claude(fake, http), request)
        (asked,) = fake.asked
    assert error is None
    assert bearer_check(KEY)(asked) is None
    kept = [json.loads(base64.b64decode(json.loads(text)["bytes"])) for text in _payloads(chunks)]
    assert [e.data for e in events if isinstance(e, Relayed)] == kept
    assert asked.body == {
        **given,
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["interleaved-thinking-2025-05-14"],
    }


def _payloads(chunks: list[bytes]) -> list[bytes]:
    from botocore.eventstream import EventStreamBuffer

    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(chunks))
    return [message.payload for message in buffer]


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (bedrock_refusal(429, "ThrottlingException", "Too many tokens"), RateLimited, "HTTP 429"),
        (bedrock_refusal(403, "AccessDeniedException", "no"), PermissionDenied, "HTTP 403"),
        (bedrock_refusal(403, "ExpiredTokenException", "old"), AuthenticationFailed, "Expired"),
        (bedrock_refusal(400, "ServiceQuotaExceededException", "x"), RateLimited, "quota"),
        (bedrock_refusal(400, "ValidationException", "on-demand"), RequestRejected, "HTTP 400"),
        (bedrock_refusal(408, "ModelTimeoutException", "slow"), ProviderError, "too long"),
    ],
)
async def test_errors_by_their_kind(
    reply: Reply, error: type[ProviderError], words: str, http: HttpClient
) -> None:
    def refuse(asked: Asked) -> Reply:
        assert bearer_check(KEY)(asked) is None
        return reply

    async with FakeProvider(refuse) as fake:
        with pytest.raises(error, match=words) as raised:
            await bedrock(fake, http).complete(CompletionRequest(NOVA, chat()))
    assert raised.value.words == reply.body["message"]


async def test_a_whole_answer_with_reasoning(http: HttpClient) -> None:
    answer = converse_answer({"additionalModelRequestFields": {}}, called=True)
    async with FakeProvider(lambda asked: Reply(answer)) as fake:
        request = CompletionRequest(NOVA, chat(tools=TOOLS))
        completion = await bedrock(fake, http).complete(request)
    thought, call = completion.choices[0].parts
    assert isinstance(thought, Thinking)
    assert thought.signature == "sealed"
    assert isinstance(call, ToolCall)
    assert call.input == {"at": "the sky"}
    assert completion.finish_reason == "tool_calls"


async def test_without_botocore_the_error_says_what_to_install(
    http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.bedrock.client.is_installed", lambda package: False)
    async with FakeProvider(lambda asked: Reply(status=500)) as fake:
        with pytest.raises(AuthenticationFailed, match=r"botocore.*requirements/clouds\.txt"):
            await bedrock(fake, http).complete(CompletionRequest(NOVA, chat()))
        assert not fake.asked


async def test_megabytes_are_signed_too(http: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.fakes.clouds import ACCESS_KEY, SECRET_KEY, BedrockWire, signature_check

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-the-session")
    async with FakeProvider(lambda asked: BedrockWire(signature_check(fake.url))(asked)) as fake:
        client = BedrockProvider("bedrock", http, fake.url)
        client.configure({"region": REGION})
        large = chat(Message("user", (Text("x" * 2_000_000),)))
        completion = await client.complete(CompletionRequest(NOVA, large.as_large()))
        await client.aclose()
    assert completion.text == ANSWER
