"""Chat completions as clients send them: read for every wire, and answered in their own form."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

from optimizer.api.openai.chat_request import read_chat_query
from optimizer.domain.reasoning_seals import seal, seal_call
from providers.chat import Chat, File, Image, Reasoning, Text, Thinking, ToolCall, ToolResult
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.streams import anthropic_stream
from tests.fakes.wires import ANSWER, anthropic_message

HAIKU = "claude-haiku-4-5"
MARK = {"type": "ephemeral"}
HELLO = {"role": "user", "content": "Hello"}
CALL = {"id": "toolu_1", "type": "tool_use", "name": "now", "input": {}}
FUNCTION = {"name": "now", "parameters": {"type": "object", "properties": {}}}


def read(messages: Any = (HELLO,), **fields: Any) -> Chat:
    body = {"model": "auto", "messages": list(messages), **fields}
    return read_chat_query(body, "")[0].chat


def content_of(*parts: Any) -> tuple[Any, ...]:
    return read([{"role": "user", "content": list(parts)}]).messages[0].parts


def test_files_audio_and_pictures_are_read() -> None:
    pdf = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}
    assert content_of(
        {"type": "file", "file": pdf},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        {"type": "image_url", "image_url": "https://x/y.png"},
        "a text",
    ) == (
        File("application/pdf", "JVBE", name="a.pdf"),
        File(file_id="file-1"),
        File("audio/wav", "UklG"),
        Image(url="https://x/y.png"),
        Text("a text"),
    )


def test_marks_of_the_cache_are_read_wherever_clients_put_them() -> None:
    chat = read(
        [
            {
                "role": "system",
                "content": [{"type": "text", "text": "Long", "cache_control": MARK}],
            },
            {**HELLO, "cache_control": MARK},
        ],
        tools=[{"type": "function", "function": FUNCTION, "cache_control": MARK}],
        cache_control=MARK,
    )
    assert [m.parts[0].cache for m in chat.messages] == [MARK, MARK]  # type: ignore[union-attr]
    assert (chat.tools[0].cache, chat.cache, chat.native, chat.extras) == (MARK, MARK, (), ())


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({"reasoning_effort": "high"}, Reasoning("high")),
        ({"reasoning": {"effort": "low", "exclude": True}}, Reasoning("low", shown="omitted")),
        ({"reasoning": {"max_tokens": 2000}}, Reasoning(budget=2000)),
        ({"reasoning": {"enabled": False}}, Reasoning("none")),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, Reasoning(budget=1024)),
        ({"thinking": {"type": "disabled"}}, Reasoning("none")),
        ({"reasoning_effort": None, "reasoning": None}, None),
    ],
)
def test_reasoning_is_read_in_every_form(fields: Any, reasoning: Reasoning | None) -> None:
    assert read(**fields).reasoning == reasoning


def test_labels_are_nothing_hints_are_dropped_and_other_kinds_of_answer_bind() -> None:
    chat = read(
        metadata={"a": "b"}, store=True, prompt_cache_key="k", modalities=["text"],
        service_tier="auto", prediction={"type": "content", "content": "x"}, odd=1, n=None,
        stream_options={"include_usage": True}, top_logprobs=2, temperature=3,
    )  # fmt: skip
    assert chat.native == ()
    assert set(chat.extras) == {"metadata", "store", "prompt_cache_key", "prediction", "odd"}
    bound = read(web_search_options={"search_context_size": "low"}, modalities=["text", "audio"])
    assert bound.native == ("web_search_options", "modalities")


def test_the_older_functions_are_tools() -> None:
    chat = read(
        [
            HELLO,
            {"role": "assistant", "content": None,
             "function_call": {"name": "now", "arguments": "{}"}},
            {"role": "function", "name": "now", "content": "12:00"},
        ],
        functions=[FUNCTION],
        function_call={"name": "now"},
    )  # fmt: skip
    call, result = chat.messages[1].parts[0], chat.messages[2].parts[0]
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert (call.id, result.text) == (result.call_id, "12:00")
    assert [tool.name for tool in chat.tools] == [chat.tool_choice.name] == ["now"]


def test_reasoning_under_our_seal_comes_back_with_its_author() -> None:
    thought = Thinking("Hm.", "sig")
    signed = seal_call(ToolCall("c", "now", "{}", "SIG"), "gemini", "g")
    call = {"id": "c", "type": "function", "function": {"name": "now", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": signed}}}  # fmt: skip
    detail = {"type": "reasoning.text", "text": "Hm.", "signature": seal(thought, "claude", "m")}
    assistant = {"role": "assistant", "content": "", "reasoning_content": "Hm.",
                 "reasoning_details": [detail], "tool_calls": [call]}  # fmt: skip
    chat = read([HELLO, assistant])
    parts = chat.messages[1].parts
    assert parts[0] == Thinking("Hm.", "sig", provider="claude", model="m")
    assert parts[-1] == ToolCall("c", "now", "{}", "SIG", ("gemini", "g"))
    assert chat.sealed
    assert not read().sealed
    bare = read([HELLO, {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}])
    assert bare.sealed
    assert bare.messages[1].parts[0] == Thinking("Hm.")


async def events_of(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[Any]:
    response = await client.post(path, json={**body, "stream": True})
    assert response.status_code == 200, response.text
    lines = [line[6:] for line in response.text.split("\n") if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


async def test_the_older_functions_are_answered_in_their_form(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    message = anthropic_message("m", content=[CALL], stop_reason="tool_use")
    body = {"model": HAIKU, "messages": [HELLO], "functions": [FUNCTION]}
    fakes["claude"].next(Reply(message), Reply(chunks=anthropic_stream(message)))
    (choice,) = (await client.post("/v1/chat/completions", json=body)).json()["choices"]
    assert choice["message"]["function_call"] == {"name": "now", "arguments": "{}"}
    assert choice["finish_reason"] == "function_call"
    assert fakes["claude"].asked[0].body["tools"][0]["name"] == "now"
    chunks = await events_of(client, "/v1/chat/completions", body)
    deltas = [c["delta"] for chunk in chunks for c in chunk["choices"]]
    calls = [delta["function_call"] for delta in deltas if "function_call" in delta]
    assert "".join(call.get("arguments", "") for call in calls) == "{}"
    assert calls[0]["name"] == "now"


@pytest.mark.parametrize(
    ("delta", "reason"),
    [
        ({"content": "Hi"}, "stop"),
        ({"tool_calls": [{"index": 0, "id": "c", "type": "function",
                          "function": {"name": "now", "arguments": "{}"}}]}, "tool_calls"),
    ],
)  # fmt: skip
async def test_a_stream_without_a_reason_for_its_end_gets_one(
    delta: dict[str, Any], reason: str, client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    chunk = {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    chunks = [f"data: {json.dumps(chunk)}\n\n".encode(), b"data: [DONE]\n\n"]
    fakes["openrouter"].always(Reply(chunks=chunks))
    body = {"model": "z-ai/glm-5.3-flash", "messages": [HELLO]}
    told = await events_of(client, "/v1/chat/completions", body)
    reasons = [c["finish_reason"] for chunk in told for c in chunk["choices"]]
    assert [said for said in reasons if said] == [reason]
    assert told[-1]["optimizer"]["provider"] == "openrouter"


async def test_a_message_of_several_lines_is_passed_on_in_one(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    chunk = {
        "id": "x",
        "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}],
    }
    lines = "".join(f"data: {line}\n" for line in json.dumps(chunk, indent=1).split("\n"))
    fakes["openrouter"].always(Reply(chunks=[f"{lines}\ndata: [DONE]\n\n".encode()]))
    body = {"model": "z-ai/glm-5.3-flash", "messages": [HELLO]}
    (told,) = await events_of(client, "/v1/chat/completions", body)
    assert told["choices"] == chunk["choices"]


async def test_the_sdk_reads_a_streamed_call_without_arguments(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    message = anthropic_message("m", content=[CALL], stop_reason="tool_use")
    fakes["claude"].always(Reply(chunks=anthropic_stream(message)))
    async with openai_sdk.chat.completions.stream(
        model=HAIKU,
        messages=[HELLO],  # type: ignore[list-item]
        tools=[{"type": "function", "function": FUNCTION}],  # type: ignore[list-item, typeddict-item]
    ) as stream:
        async for _ in stream:
            pass
        found = await stream.get_final_completion()
    (call,) = found.choices[0].message.tool_calls or ()
    assert call.function.arguments == "{}"
    assert found.choices[0].finish_reason == "tool_calls"


async def test_a_text_is_completed_by_a_chat_model(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    body = {"model": HAIKU, "prompt": "The capital of France", "max_tokens": 50, "echo": True}
    response = await client.post("/v1/completions", json=body)
    found = response.json()
    assert found["object"] == "text_completion"
    assert [c["text"] for c in found["choices"]] == [ANSWER]
    assert found["choices"][0]["finish_reason"] == "stop"
    assert response.headers["x-optimizer-dropped"] == "echo"
    body = {**body, "prompt": "The capital of Spain", "stream_options": {"include_usage": True}}
    chunks = await events_of(client, "/v1/completions", body)
    assert "".join(c["text"] for chunk in chunks for c in chunk["choices"]) == ANSWER
    assert chunks[-1]["usage"]["completion_tokens"] == 9
    assert len(fakes["claude"].asked) == 2


@pytest.mark.parametrize("streamed", [False, True])
async def test_several_prompts_get_a_choice_each(client: httpx.AsyncClient, streamed: bool) -> None:
    body = {"model": HAIKU, "prompt": ["A question", "Another one"]}
    if streamed:
        chunks = await events_of(client, "/v1/completions", body)
        choices = [c for chunk in chunks for c in chunk["choices"]]
    else:
        choices = (await client.post("/v1/completions", json=body)).json()["choices"]
    assert [(c["index"], c["text"]) for c in choices] == [(0, ANSWER), (1, ANSWER)]


async def test_a_prompt_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    for prompt in (None, [], 3, [{"a": 1}]):
        response = await client.post("/v1/completions", json={"model": HAIKU, "prompt": prompt})
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "prompt"


async def test_an_empty_answer_is_not_given_again(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    body = {"model": HAIKU, "messages": [HELLO], "temperature": 0}
    fakes["claude"].next(Reply(anthropic_message("m", content=[])))
    await client.post("/v1/chat/completions", json=body)
    again = await client.post("/v1/chat/completions", json=body)
    assert again.headers["x-optimizer-cache"] == "miss"
    assert again.json()["choices"][0]["message"]["content"] == ANSWER


async def test_reasoning_of_another_wire_is_sealed_whole_and_streamed(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    # The form is OpenRouter's: https://openrouter.ai/docs/use-cases/reasoning-tokens
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "sig"}
    message = anthropic_message("m", content=[thought, {"type": "text", "text": "Hi"}])
    body = {"model": HAIKU, "messages": [HELLO]}
    fakes["claude"].next(Reply(message), Reply(chunks=anthropic_stream(message)))
    no_store = {"cache-control": "no-store"}
    whole = await client.post("/v1/chat/completions", json=body, headers=no_store)
    said = [whole.json()["choices"][0]["message"]]
    chunks = await events_of(client, "/v1/chat/completions", body)
    deltas = [c["delta"] for chunk in chunks for c in chunk["choices"]]
    details = [entry for delta in deltas for entry in delta.get("reasoning_details", ())]
    text = "".join(delta.get("reasoning_content", "") for delta in deltas)
    said.append({"role": "assistant", "reasoning_content": text, "reasoning_details": details})
    for given in said:
        assert given["reasoning_content"] == "Hm."
        (part, *_) = read([HELLO, given]).messages[1].parts
        assert part == Thinking("Hm.", "sig", provider="claude", model=HAIKU)
