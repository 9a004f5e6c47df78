"""The HTTP clients' streams: whole, cut off, misshapen, in half characters, without usage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest

from providers import errors
from providers.assembly import CompletionBuilder, completion_events
from providers.chat import TOKENS_PER_MESSAGE, Chat, Message, Text
from providers.completion import Completion, CompletionRequest, Usage
from providers.events import Finished, TextDelta, ToolArguments, ToolCallStarted, UsageReported
from providers.http.transport import HttpClient
from providers.http.wire import WireClient
from providers.token_estimates import estimate_tokens
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.streams import anthropic_stream, gemini_stream, openai_stream, sse
from tests.fakes.wires import ANSWER, KEY, anthropic_message, gemini_response, openai_completion
from tests.patience import eventually
from tests.providers.http.test_wires import WIRES

REQUEST = CompletionRequest("some-model", Chat((Message("user", (Text("Hello"),)),)))
STREAMS = {"openai": openai_stream, "anthropic": anthropic_stream, "gemini": gemini_stream}


class Pair:
    def __init__(self, name: str, fake: FakeProvider, http: HttpClient) -> None:
        self.name, self.fake, self.success = name, fake, WIRES[name][2]
        self.client: WireClient = WIRES[name][0](
            name, http, fake.url, KEY, httpx.Timeout(0.5, connect=0.5)
        )

    def chunks(self, text: str = ANSWER, **how: object) -> list[bytes]:
        return STREAMS[self.name](self.success("m", text), **how)

    async def gather(self, collector: CompletionBuilder | None = None) -> Completion:
        collector = collector or CompletionBuilder(self.name, REQUEST)
        async for event in self.client.stream(REQUEST):
            collector.add(event)
        return collector.completion()


@pytest.fixture(params=list(STREAMS))
async def pair(request: pytest.FixtureRequest, http: HttpClient) -> AsyncIterator[Pair]:
    async with FakeProvider(WIRES[request.param][1]) as fake:
        yield Pair(request.param, fake, http)


async def test_a_stream_says_what_the_whole_answer_says(pair: Pair) -> None:
    streamed, whole = await pair.gather(), await pair.client.complete(REQUEST)
    assert streamed.text == whole.text == ANSWER
    assert streamed.usage == whole.usage
    assert streamed.finish_reason == "stop"
    assert streamed.response_id


async def test_an_answer_retold_is_the_same_answer(pair: Pair) -> None:
    whole = await pair.client.complete(REQUEST)
    collector = CompletionBuilder(pair.name, REQUEST)
    for event in completion_events(whole):
        collector.add(event)
    assert collector.completion() == Completion(
        pair.name, "some-model", whole.choices, whole.usage, whole.response_id, whole.extra
    )


@pytest.mark.parametrize("size", [1, 2, 3, 5])
async def test_bytes_may_be_cut_anywhere(pair: Pair, size: int) -> None:
    text = "Zürich 🗼\u2028東京 naïve"
    raw = b"".join(pair.chunks(text)).replace(b"\\ud83d\\uddfc", "🗼".encode())
    cut = [raw[i : i + size] for i in range(0, len(raw), size)]
    pair.fake.next(Reply(chunks=cut))
    assert (await pair.gather()).text == text


async def test_a_character_split_into_two_deltas_arrives_whole(pair: Pair) -> None:
    raw = b"".join(pair.chunks("A🗼B"))
    halves = {
        "openai": (
            b'"content": "A\\ud83d\\uddfcB"',
            b'"content": "A\\ud83d"',
            b'"content": "\\uddfcB"',
        ),
        "anthropic": (b'"text": "A\\ud83d\\uddfcB"', b'"text": "A\\ud83d"', b'"text": "\\uddfcB"'),
        "gemini": (b'"text": "A\\ud83d\\uddfcB"', b'"text": "A\\ud83d"', b'"text": "\\uddfcB"'),
    }[pair.name]
    message = next(m for m in raw.split(b"\n\n") if halves[0] in m)
    split = message.replace(halves[0], halves[1]) + b"\n\n" + message.replace(halves[0], halves[2])
    pair.fake.next(Reply(chunks=[raw.replace(message, split)]))
    texts = [e.text async for e in pair.client.stream(REQUEST) if isinstance(e, TextDelta)]
    assert [text for text in texts if text] == ["A", "🗼B"]


async def test_tokens_are_estimated_when_no_usage_comes(pair: Pair) -> None:
    pair.fake.next(Reply(chunks=pair.chunks(usage=False)))
    assert (await pair.gather()).usage == Usage(2 + TOKENS_PER_MESSAGE, 7, estimated=True)


async def test_what_was_said_before_a_cut_is_kept_and_counted(pair: Pair) -> None:
    pair.fake.next(Reply(chunks=pair.chunks()[:5], drop=True))
    collector = CompletionBuilder(pair.name, REQUEST)
    with pytest.raises(errors.ConnectionFailed):
        await pair.gather(collector)
    completion = collector.completion()
    assert completion.text
    assert ANSWER.startswith(completion.text)
    assert completion.usage.estimated
    assert completion.usage.output_tokens == estimate_tokens(completion.text)


async def test_a_polite_end_in_the_middle_is_no_answer_either(pair: Pair) -> None:
    pair.fake.next(Reply(chunks=pair.chunks()[:4]))
    with pytest.raises(errors.ConnectionFailed):
        await pair.gather()


async def test_silence_between_two_tokens_is_a_timeout(pair: Pair) -> None:
    pair.fake.next(Reply(chunks=pair.chunks(), pause=2))
    with pytest.raises(errors.ProviderTimeout):
        await pair.gather()


@pytest.mark.parametrize(
    "junk", [b"data: {\n\n", b"data: [1]\n\n", b"data: " + b"[" * 99_999 + b"\n\n"]
)
async def test_junk_between_two_messages_is_left_out(pair: Pair, junk: bytes) -> None:
    chunks = list(pair.chunks())
    pair.fake.next(Reply(chunks=chunks))
    clean = await pair.gather()
    pair.fake.next(Reply(chunks=[*chunks[:1], junk, *chunks[1:]]))
    assert (await pair.gather()).text == clean.text


async def test_junk_in_place_of_the_rest_is_a_stream_that_broke_off(pair: Pair) -> None:
    pair.fake.next(Reply(chunks=[*list(pair.chunks())[:1], b"data: {\n\n"]))
    with pytest.raises(errors.ConnectionLost):
        await pair.gather()


async def test_an_answer_that_is_not_a_stream_is_delivered(pair: Pair) -> None:
    pair.fake.next(Reply(pair.success("m")))
    assert (await pair.gather()).text


async def test_an_error_status_is_the_same_error_as_without_a_stream(pair: Pair) -> None:
    pair.fake.next(Reply({}, 529))
    with pytest.raises(errors.Overloaded):
        await pair.gather()


@pytest.mark.parametrize(
    ("name", "message", "kind"),
    [
        ("openai", sse({"error": {"code": 503, "message": "x"}}), errors.Overloaded),
        ("openai", sse({"choices": [{"error": {"code": 429}}]}), errors.RateLimited),
        (
            "anthropic",
            sse({"type": "error", "error": {"type": "overloaded_error"}}, "error"),
            errors.Overloaded,
        ),
        ("anthropic", sse({"type": "error", "error": {}}, "error"), errors.MalformedResponse),
        ("gemini", sse({"error": {"code": 500}}), errors.ProviderUnavailable),
        ("gemini", sse({"promptFeedback": {"blockReason": "SAFETY"}}), errors.ContentBlocked),
    ],
)
async def test_errors_inside_a_stream_are_told_apart(
    http: HttpClient, name: str, message: bytes, kind: type[errors.ProviderError]
) -> None:
    async with FakeProvider(WIRES[name][1]) as fake:
        fake.next(Reply(chunks=[message]))
        with pytest.raises(kind):
            await Pair(name, fake, http).gather()


async def test_closing_the_stream_ends_the_call(pair: Pair) -> None:
    pair.fake.next(Reply(chunks=pair.chunks(ANSWER * 500), pause=0.005))
    async with aclosing(pair.client.stream(REQUEST)) as events:
        async for event in events:
            if isinstance(event, TextDelta) and event.text:
                break
    written = pair.fake.written
    assert await eventually(lambda: pair.fake.hung_up_on) == 1
    assert pair.fake.written < written + 50


CALLS = [("a", "weather", '{"city":"Zürich"}'), ("b", "time", '{"zone":"CET"}')]


def _openai_calls(index: object, with_ids: bool) -> list[bytes]:
    deltas = []
    for place, (call_id, name, arguments) in enumerate(CALLS):
        where = {} if index is None else {"index": place if index == "each" else 0}
        half = len(arguments) // 2
        deltas.append(
            {
                **where,
                "id": call_id,
                "type": "function",
                "function": {"name": name, "arguments": arguments[:half]},
            }
        )
        again = {"id": call_id} if with_ids else {}
        deltas.append({**where, **again, "function": {"arguments": arguments[half:]}})
    chunks = [
        sse({"choices": [{"index": 0, "delta": {"tool_calls": [d]}, "finish_reason": None}]})
        for d in deltas
    ]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    return [*chunks, sse(end), sse("[DONE]")]  # fmt: skip


@pytest.mark.parametrize(
    ("index", "with_ids"),
    [("each", False), ("each", True), (None, False), (None, True), ("same", True), ("same", False)],
)
async def test_parallel_calls_are_kept_apart_however_a_server_numbers_them(
    http: HttpClient, index: object, with_ids: bool
) -> None:
    async with FakeProvider(WIRES["openai"][1]) as fake:
        fake.next(Reply(chunks=_openai_calls(index, with_ids)))
        completion = await Pair("openai", fake, http).gather()
    calls = completion.choices[0].tool_calls
    assert [(c.id, c.name, c.arguments) for c in calls] == CALLS
    assert completion.finish_reason == "tool_calls"


async def test_anthropic_s_interleaved_blocks_are_told_apart(http: HttpClient) -> None:
    content = [
        {"type": "text", "text": "I look it up."},
        *(
            {"type": "tool_use", "id": f"toolu_{n}", "name": "f", "input": {"n": n}}
            for n in range(2)
        ),
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"q": "x"}},
        {"type": "redacted_thinking", "data": "sealed"},
    ]
    body = anthropic_message("m", content=content, stop_reason="tool_use")
    async with FakeProvider(WIRES["anthropic"][1]) as fake:
        fake.next(Reply(chunks=anthropic_stream(body)), Reply(body))
        pair = Pair("anthropic", fake, http)
        streamed, whole = await pair.gather(), await pair.client.complete(REQUEST)
    assert streamed.choices == whole.choices
    assert [c.input for c in streamed.choices[0].tool_calls] == [{"n": 0}, {"n": 1}]


async def test_gemini_s_calls_come_whole_and_end_as_calls(http: HttpClient) -> None:
    parts = [
        {"functionCall": {"name": "f", "args": {"n": 1}}, "thoughtSignature": "sealed"},
        {"functionCall": {"name": "f", "args": {"n": 2}}},
    ]
    body = gemini_response("m", candidates=[{"content": {"parts": parts}, "finishReason": "STOP"}])
    async with FakeProvider(WIRES["gemini"][1]) as fake:
        fake.next(Reply(chunks=gemini_stream(body)))
        events = [e async for e in Pair("gemini", fake, http).client.stream(REQUEST)]
    started = [e for e in events if isinstance(e, ToolCallStarted)]
    assert [(s.index, s.signature) for s in started] == [(0, "sealed"), (1, "")]
    assert len({s.id for s in started}) == 2
    assert [e.text for e in events if isinstance(e, ToolArguments)] == ['{"n": 1}', '{"n": 2}']
    assert [e.reason for e in events if isinstance(e, Finished)] == ["tool_calls"]
    assert any(isinstance(e, UsageReported) for e in events)


async def test_several_choices_and_an_empty_one(http: HttpClient) -> None:
    choices = [
        {"index": i, "message": {"content": text}, "finish_reason": "stop"}
        for i, text in enumerate(["one", "", "three"])
    ]
    body = openai_completion("m", choices=choices)
    async with FakeProvider(WIRES["openai"][1]) as fake:
        fake.next(Reply(chunks=openai_stream(body)), Reply(body))
        pair = Pair("openai", fake, http)
        streamed, whole = await pair.gather(), await pair.client.complete(REQUEST)
    assert (
        [c.text for c in streamed.choices]
        == [c.text for c in whole.choices]
        == ["one", "", "three"]
    )


@pytest.mark.parametrize(
    "charset", ["hex", "base64", "rot13", "idna", "punycode", "undefined", "nonsense", "zlib", ""]
)
async def test_a_charset_that_is_no_encoding_of_text_is_read_as_utf_8(
    charset: str, pair: Pair
) -> None:
    # Streams of events are UTF-8: https://html.spec.whatwg.org/multipage/server-sent-events.html
    headers = {"content-type": f"text/event-stream; charset={charset}"}
    pair.fake.wire = lambda _: Reply(chunks=pair.chunks("Köln 😀"), headers=headers)
    assert (await pair.gather()).text == "Köln 😀"
