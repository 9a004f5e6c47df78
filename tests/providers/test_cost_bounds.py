"""What bounds a call's cost beyond its text, by the fields of each wire."""

from __future__ import annotations

import base64
import struct
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.budgets.most_cost import most_cost
from providers.catalogue import load_catalogue
from providers.chat import Chat, Image, Message, Native, OriginalRequest, Text
from providers.completion import Usage
from providers.cost_bounds import cost_bound, embedded_bound
from providers.pricing import PriceBook
from providers.token_bounds import LARGEST_IMAGE, most_embedded_tokens, most_input_tokens
from tests.fakes.damage import changed

LIMIT = 100


def base64_of(data: bytes) -> str:
    return base64.b64encode(data + bytes(range(32, 96))).decode()


PDF, PNG = base64_of(b"%PDF-1.7\n"), base64_of(b"\x89PNG\r\n\x1a\n")
MP4, WAV = base64_of(b"\0\0\0\x18ftypisom"), base64_of(b"RIFF\x24\0\0\0WAVEfmt ")
WEBP, TEXT = base64_of(b"RIFF\x24\0\0\0WEBPVP8 "), base64_of("Grüße, ".encode())


def chat(wire: str, body: dict[str, Any], *, n: int = 1, **headers: str) -> Chat:
    turns = (Message("user", (Text("Sum up."),)),)
    return Chat(turns, n=n, source=OriginalRequest(wire, body, headers))


def anthropic(*content: dict[str, Any], **fields: Any) -> Chat:
    return chat("anthropic", {"messages": [{"role": "user", "content": list(content)}], **fields})


def openai(*content: dict[str, Any], **fields: Any) -> Chat:
    return chat("openai", {"messages": [{"role": "user", "content": list(content)}], **fields})


def gemini(*parts: dict[str, Any], **fields: Any) -> Chat:
    return chat("gemini", {"contents": [{"role": "user", "parts": list(parts)}], **fields})


def responses_shell(environment: dict[str, Any]) -> Chat:
    tools = [{"type": "shell", "environment": environment}]
    return chat("openai", {"input": "a", "tools": tools})


# https://docs.claude.com/en/docs/build-with-claude/pdf-support and .../files,
# https://platform.openai.com/docs/guides/pdf-files, https://ai.google.dev/gemini-api/docs/files
UNKNOWN = [
    (anthropic({"type": "document", "source": {"type": "url", "url": "https://a/b"}}), "messages"),
    (anthropic({"type": "document", "source": {"type": "file", "file_id": "f"}}), "messages"),
    (
        anthropic(
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
            }
        ),
        "messages",
    ),
    (
        anthropic(
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "document", "source": {"type": "url", "url": "https://a"}}],
            }
        ),
        "messages",
    ),
    (anthropic({"type": "container_upload", "file_id": "f"}), "messages"),
    (anthropic(tools=[{"type": "web_fetch_20250910", "name": "web_fetch"}]), "tools"),
    (anthropic(tools=[{"type": "code_execution_20250825", "name": "x"}]), "tools"),
    (anthropic(mcp_servers=[{"type": "url", "url": "https://a", "name": "a"}]), "mcp_servers"),
    (openai({"type": "file", "file": {"file_id": "f"}}), "messages"),
    (openai({"type": "file", "file": {"file_data": "data:application/pdf;base64,J"}}), "messages"),
    (openai(web_search_options={"search_context_size": "low"}), "web_search_options"),
    # An empty object searches too: https://platform.openai.com/docs/guides/tools-web-search
    (openai(web_search_options={}), "web_search_options"),
    (chat("openai", {"input": [{"type": "item_reference", "id": "i"}]}), "input"),
    # The type of a reference may be left out, and reasoning may stay with OpenAI.
    (chat("openai", {"input": [{"id": "msg_1"}]}), "input"),
    (chat("openai", {"input": [{"id": "msg_1", "type": None}]}), "input"),
    (chat("openai", {"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}), "input"),
    (chat("openai", {"input": "Go on.", "previous_response_id": "r"}), "previous_response_id"),
    (chat("openai", {"input": "Go on.", "conversation": "c"}), "conversation"),
    (chat("openai", {"input": "Go on.", "prompt": {"id": "p"}}), "prompt"),
    (chat("openai", {"input": "a", "tools": [{"type": "web_search"}]}), "tools"),
    (chat("openai", {"input": "a", "tools": [{"type": "mcp", "server_url": "a"}]}), "tools"),
    # A hosted shell: https://developers.openai.com/api/docs/guides/tools-shell
    (responses_shell({"type": "container_auto"}), "tools"),
    (responses_shell({"type": "container_reference", "container_id": "c"}), "tools"),
    (gemini({"fileData": {"fileUri": "https://a", "mimeType": "application/pdf"}}), "contents"),
    (gemini({"file_data": {"file_uri": "https://a"}}), "contents"),
    (gemini({"inlineData": {"mimeType": "video/mp4", "data": "AA"}}), "contents"),
    # What a request calls a file does not change what is behind its address, or in its bytes.
    (gemini({"fileData": {"fileUri": "https://a", "mimeType": "image/png"}}), "contents"),
    (gemini({"fileData": {"fileUri": "https://a", "mimeType": "text/plain"}}), "contents"),
    (gemini({"fileData": {"fileUri": "https://a", "mimeType": "IMAGE/PNG"}}), "contents"),
    (gemini({"file_data": {"file_uri": "https://a", "mime_type": "image/*"}}), "contents"),
    (gemini({"inlineData": {"mimeType": "image/png", "data": PDF}}), "contents"),
    (gemini({"inlineData": {"mimeType": "text/plain", "data": PDF}}), "contents"),
    (gemini({"inlineData": {"mimeType": "image/png", "data": MP4}}), "contents"),
    (gemini({"inlineData": {"mimeType": "", "data": PDF}}), "contents"),
    (gemini({"inlineData": {"mimeType": "model/x", "data": PDF}}), "contents"),
    (gemini({"inlineData": {"mimeType": "image/webp", "data": WAV}}), "contents"),
    (
        openai({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PDF}"}}),
        "messages",
    ),
    (openai({"type": "file", "file": {"file_data": f"data:text/plain;base64,{PDF}"}}), "messages"),
    (openai({"type": "file", "file": {"file_data": f"data:image/png;base64,{PDF}"}}), "messages"),
    (
        chat("openai", {"input": [{"type": "input_image", "image_url": f"data:image/a,{PDF}"}]}),
        "input",
    ),
    (
        anthropic(
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PDF}}
        ),
        "messages",
    ),
    (
        anthropic(
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "text/plain", "data": PDF},
            }
        ),
        "messages",
    ),
    (
        anthropic(
            {
                "type": "document",
                "source": {"type": "url", "url": "https://a", "media_type": "text/plain"},
            }
        ),
        "messages",
    ),
    # https://ai.google.dev/gemini-api/docs/function-calling, multimodal function responses
    (gemini({"functionResponse": {"parts": [{"fileData": {"fileUri": "a"}}]}}), "contents"),
    (gemini({"function_response": {"parts": [{"file_data": {"file_uri": "a"}}]}}), "contents"),
    (gemini(cachedContent="cachedContents/1"), "cachedContent"),
    (gemini(tools=[{"googleSearch": {}}]), "tools"),
    (gemini(tools=[{"url_context": {}}]), "tools"),
    (Chat((Message("user", (Native("document"),)),)), "messages"),
]


@pytest.mark.parametrize(("asked", "field"), UNKNOWN)
def test_input_whose_size_only_the_provider_can_know_is_named(asked: Chat, field: str) -> None:
    assert [name for name, _ in cost_bound(asked, LIMIT).unknown] == [field]


KNOWN = [
    Chat.of_prompt("Hello"),
    anthropic({"type": "text", "text": "type: document"}),
    anthropic({"type": "image", "source": {"type": "url", "url": "https://a"}}),
    anthropic({"type": "image", "source": {"type": "file", "file_id": "f"}}),
    anthropic({"type": "document", "source": {"type": "text", "media_type": "text/plain"}}),
    anthropic({"type": "document", "source": {"type": "content", "content": "abc"}}),
    anthropic({"type": "tool_use", "id": "t", "name": "f", "input": {"type": "container_upload"}}),
    anthropic(tools=[{"name": "f", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}]),
    openai({"type": "image_url", "image_url": {"url": "https://a"}}),
    openai(tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}]),
    chat("openai", {"input": [{"type": "input_image", "file_id": "f"}]}),
    chat("openai", {"input": [{"type": "reasoning", "id": "r", "encrypted_content": "gAAAA"}]}),
    chat("openai", {"input": [{"role": "user", "id": "msg_1", "content": "Hi"}]}),
    chat("openai", {"prompt": "plain text"}),
    responses_shell({"type": "local"}),
    chat("openai", {"input": "a", "tools": [{"type": "shell"}]}),
    openai(web_search_options=None, plugins=[], mcp_servers=[]),
    gemini({"inlineData": {"mimeType": "image/png", "data": PNG}}),
    gemini({"inlineData": {"mimeType": "image/webp", "data": WEBP}}),
    gemini({"inlineData": {"mimeType": "text/plain", "data": TEXT}}),
    openai({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}),
    openai({"type": "file", "file": {"file_data": f"data:text/plain;base64,{TEXT}"}}),
    gemini({"functionCall": {"name": "f", "args": {"fileData": {"fileUri": "a"}}}}),
    gemini({"functionResponse": {"name": "f", "response": {"fileData": {"fileUri": "a"}}}}),
    gemini(tools=[{"functionDeclarations": []}]),
]


@pytest.mark.parametrize("asked", KNOWN)
def test_input_whose_bytes_bound_it_is_not(asked: Chat) -> None:
    bound = cost_bound(asked, LIMIT)
    assert (bound.unknown, bound.fees, bound.rates) == ((), 0, 1)
    assert bound.output_tokens == LIMIT


def test_a_hosted_shell_has_the_fee_of_its_container() -> None:
    assert cost_bound(responses_shell({"type": "container_auto"}), LIMIT).fees > 0
    large = responses_shell({"type": "container_auto", "memory_limit": "64g"})
    assert cost_bound(large, LIMIT).fees > 2


def test_searches_have_a_fee_each() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert cost_bound(anthropic(tools=[{**search, "max_uses": 5}]), 9).fees == Decimal("0.05")
    assert cost_bound(anthropic(tools=[search]), 9).fees == Decimal("0.1")
    hosted = [{"type": "web_search_preview"}, {"type": "file_search"}]
    bound = cost_bound(chat("openai", {"input": "a", "tools": hosted, "max_tool_calls": 2}), 9)
    assert bound.fees == Decimal("0.055")
    assert cost_bound(gemini(tools=[{"google_search": {}}]), 9).fees == Decimal("0.35")


@pytest.mark.parametrize(
    ("asked", "rates"),
    [
        (openai(service_tier="priority"), "2"),
        (openai(service_tier="auto"), "2.5"),
        (openai(service_tier="ultrafast"), "6"),
        (gemini(serviceTier="priority"), "2"),
        (gemini(service_tier="SERVICE_TIER_PRIORITY"), "2"),
        (gemini(serviceTier="flex"), "1"),
        (openai(service_tier="flex"), "1"),
        (openai(service_tier="default"), "1"),
        (anthropic(service_tier="auto"), "1"),
        (anthropic(speed="fast"), "6"),
        (anthropic(inference_geo="us"), "1.1"),
        (openai({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}), "16"),
        (openai({"type": "audio_url", "audio_url": {"url": "https://a"}}), "16"),
        (openai(modalities=["text", "audio"]), "16"),
    ],
)
def test_faster_service_and_audio_multiply_the_rates(asked: Chat, rates: str) -> None:
    assert cost_bound(asked, LIMIT).rates == Decimal(rates)


@pytest.mark.parametrize(
    ("asked", "most"),
    [
        (chat("openai", {}, n=3), 300),
        (chat("openai", {"best_of": 4}, n=2), 400),
        (anthropic(thinking={"type": "enabled", "budget_tokens": 50}), 100),
        (anthropic(thinking={"type": "enabled", "budget_tokens": 500}), 600),
        (openai(thinking_budget=1000), 1100),
        (openai(reasoning_effort="high"), 100),
        (gemini(generationConfig={"thinkingConfig": {"thinkingBudget": 300}}), 400),
    ],
)
def test_choices_and_reasoning_beside_the_limit_count(asked: Chat, most: int) -> None:
    assert cost_bound(asked, LIMIT).output_tokens == most


def test_a_rejected_prediction_is_output() -> None:
    asked = openai(prediction={"type": "content", "content": "x" * 500})
    assert cost_bound(asked, LIMIT).output_tokens > LIMIT + 500


def test_a_part_of_its_own_wire_counts_with_its_bytes() -> None:
    text = {"type": "search_result", "content": [{"type": "text", "text": "word " * 1000}]}
    body = {"messages": [{"role": "user", "content": [text]}]}
    turns = (Message("user", (Native("search_result"),)),)
    asked = Chat(turns, source=OriginalRequest("anthropic", body))
    assert most_input_tokens(asked) > 5000


BODIES = [
    asked.source for asked in (case[0] if isinstance(case, tuple) else case
                               for case in (*UNKNOWN, *KNOWN)) if asked.source is not None
]  # fmt: skip
BODIES += [
    OriginalRequest("openai", {
        "messages": [], "service_tier": "auto", "modalities": ["text"], "best_of": 2,
        "prediction": {"type": "content", "content": [{"type": "text", "text": "x"}]},
        "reasoning": {"max_tokens": 5}, "thinking_budget": 5, "max_tool_calls": 2,
        "tools": [{"type": "code_interpreter", "container": {"memory_limit": "4g"}}],
    }, {}),
    OriginalRequest("anthropic", {
        "messages": [], "speed": "fast", "inference_geo": "us", "service_tier": "auto",
        "thinking": {"budget_tokens": 5}, "tools": [{"type": "web_search", "max_uses": 2}],
    }, {}),
    OriginalRequest("gemini", {
        "contents": [], "generationConfig": {"thinkingConfig": {"thinkingBudget": 5}},
    }, {}),
]  # fmt: skip


@given(
    st.sampled_from(BODIES).flatmap(
        lambda source: st.tuples(st.just(source.wire), changed(dict(source.body)))
    )
)
def test_whatever_a_client_sends_has_a_bound(case: tuple[str, dict[str, Any]]) -> None:
    bound = cost_bound(chat(*case, n=10**400), 10**400)
    prices = PriceBook(load_catalogue(None))
    most = prices.most("claude", "claude-opus-5-5", 10**8, bound.output_tokens)
    assert most is not None
    assert most * bound.rates + bound.fees > 0


@pytest.mark.parametrize("budget", [5_000, "5000", 5e3])
@pytest.mark.parametrize(("outer", "inner", "name"), [
    ("generationConfig", "thinkingConfig", "thinkingBudget"),
    ("generation_config", "thinking_config", "thinking_budget"),
])  # fmt: skip
def test_gemini_s_reasoning_is_bounded_in_every_spelling(
    budget: object, outer: str, inner: str, name: str
) -> None:
    asked = gemini(**{outer: {inner: {name: budget}}})
    assert cost_bound(asked, LIMIT).output_tokens == LIMIT + 5_000


def test_a_compaction_reads_the_whole_window_before_the_answer_does() -> None:
    bound = cost_bound(
        anthropic(
            {"type": "text", "text": "Hi"},
            context_management={"edits": [{"type": "compact_20260112"}]},
        ),
        LIMIT,
    )
    assert ("context_management", "compaction") in bound.unknown
    assert bound.rates == 2


def test_each_advice_is_a_call_of_the_advisor() -> None:
    tool = {"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-5", "max_uses": 2}
    bound = cost_bound(anthropic({"type": "text", "text": "Hi"}, tools=[tool]), LIMIT)
    assert bound.advisors == ("claude-opus-5", "claude-opus-5")
    prices = PriceBook(load_catalogue())
    small = ("claude", "claude-haiku-4-5")
    with_advice = most_cost(prices, *small, 1_000, bound)
    without = most_cost(prices, *small, 1_000, replace(bound, advisors=()))
    advice = prices.most("claude", "claude-opus-5", 200_000, 128_000)
    assert None not in (with_advice, without, advice)
    assert with_advice - without == 2 * advice  # type: ignore[operator]


@pytest.mark.parametrize("fields", [
    {"service_tier": "priority"}, {"service_tier": "flex"}, {"speed": "fast"},
    {"inference_geo": "us"}, {"inference_geo": "EU", "speed": "fast"},
])  # fmt: skip
def test_the_bound_covers_what_is_charged_as_it_was_asked(fields: dict[str, str]) -> None:
    prices = PriceBook(load_catalogue())
    bound = cost_bound(anthropic({"type": "text", "text": "Hi"}, **fields), LIMIT)
    usage = Usage(
        1_000, LIMIT, cache_write_tokens=1_000, cache_write_1h_tokens=1_000,
        service_tier=fields.get("service_tier", ""), speed=fields.get("speed", ""),
        geography=fields.get("inference_geo", "").lower(),
    )  # fmt: skip
    for model in ("claude-opus-5-5", "claude-haiku-5-5", "claude-haiku-4-5"):
        charged = prices.cost("claude", model, usage)
        most = most_cost(prices, "claude", model, 1_000, bound)
        assert charged is not None
        assert most is not None
        assert charged <= most


def sound(data: bytes) -> Chat:
    encoded = base64.b64encode(data + bytes(range(96))).decode()
    return openai({"type": "input_audio", "input_audio": {"data": encoded, "format": "mp3"}})


def wav(kind: int, channels: int, rate: int, bits: int) -> bytes:
    fields = struct.pack("<HHIIHH", kind, channels, rate, rate * channels * bits // 8, 2, bits)
    return b"RIFF\x24\x10\0\0WAVEfmt \x10\0\0\0" + fields + b"data\0\x10\0\0"


MP3 = b"\xff\xfb\x90\x64"  # 128 kbit/s, http://www.mp3-tech.org/programmer/frame_header.html


@pytest.mark.parametrize("data", [
    wav(1, 1, 24_000, 16), wav(1, 2, 44_100, 16), wav(3, 1, 16_000, 32), wav(1, 1, 8_000, 8),
    MP3, b"\xff\xf3\x18\xc4", b"ID3\x04\0\0\0\0\0\x05" + b"title" + MP3,
    b"ID3\x04\0\0\0\0\x02\x01" + b"t" * 257 + MP3,
])  # fmt: skip
def test_sound_whose_seconds_have_many_bytes_is_bounded_by_them(data: bytes) -> None:
    assert cost_bound(sound(data), LIMIT).unknown == ()


@pytest.mark.parametrize("data", [
    b"fLaC\0\0\0\x22", b"OggS\0\x02", b"\x1aE\xdf\xa3", b"\0\0\0\x18ftypM4A ", b"%PDF-1.7\n",
    # One sample a second, and sound that is compressed within WAV.
    wav(1, 1, 1, 8), wav(0x11, 1, 8_000, 4), wav(0x55, 1, 44_100, 16), b"RIFF\x24\0\0\0WAVEJUNK",
    # MP3 at a rate of its own, and a tag before another format.
    b"\xff\xfb\x00\x64", b"ID3\x04\0\0\0\0\0\x05titlefLaC", b"ID3\x04\0\0\x7f\x7f\x7f\x7f", b"",
])  # fmt: skip
def test_sound_that_a_few_bytes_may_hold_for_hours_is_not(data: bytes) -> None:
    bound = cost_bound(sound(data), LIMIT)
    assert (bound.unknown, bound.rates) == ((("messages", "input_audio"),), 16)


def test_a_part_that_is_an_address_has_an_unknown_size_whatever_it_is() -> None:
    """https://docs.mistral.ai/capabilities/document_ai/document_qna, and vLLM's ``audio_url``."""
    for kind in ("document_url", "video_url", "audio_url"):
        part = {"type": kind, kind: "https://example.com/a"}
        assert cost_bound(openai(part), LIMIT).unknown == (("messages", kind),)
        assert embedded_bound({"input": [part]}).unknown == (("input", kind),)
        assert embedded_bound({"input": [[part], "text"]}).unknown == (("input", kind),)
    assert embedded_bound({"input": ["a", "b"]}) == embedded_bound({"input": [[1, 2], 3]})
    assert embedded_bound({"input": "a"}).unknown == ()


def test_images_count_as_the_largest_that_their_model_charges_for() -> None:
    """A small file may be a large image, and some models count beyond their context window.

    An image is made to fit 2048 x 2048, then 768 at its shorter side, and has a tile for each 512 x
    512: at most 2 x 4 (https://platform.openai.com/docs/guides/images-vision). gpt-4o-mini counts
    2 833 and 5 667 a tile. OpenAI's usage shows it: an image of 128 x 64 is 2 845 - 12 tokens with
    low detail, and 8 512 - 12 = 2 833 + 5 667 with high detail
    (https://community.openai.com/t/1262691). With other models, the most are 10 000 patches times
    1.62 (``detail: original``).
    """
    prices = PriceBook(load_catalogue())
    asked = gemini(*[{"inlineData": {"mimeType": "image/png", "data": PNG}}] * 3)
    assert most_input_tokens(replace(asked, native=True)) >= 3 * LARGEST_IMAGE
    many = openai(*[{"type": "image_url", "image_url": {"url": "https://a"}}] * 10)
    bound = cost_bound(many, LIMIT)
    assert (bound.images, bound.fetched) == (10, 10)
    rates = prices.rates("openai", "gpt-4o-mini")
    assert rates is not None
    most = most_cost(prices, "openai", "gpt-4o-mini", 10 * LARGEST_IMAGE, bound)
    assert most is not None
    assert most >= rates.input.at(0) * 10 * (2_833 + 8 * 5_667) / 1_000_000
    hidden = replace(bound, unknown=(("messages", "file"),))
    window = prices.context_window("openai", "gpt-4o-mini")
    beyond = 10 * (2_833 + 8 * 5_667 - LARGEST_IMAGE)
    assert most_cost(prices, "openai", "gpt-4o-mini", 9, hidden) == prices.most(
        "openai", "gpt-4o-mini", window + beyond, LIMIT
    )


@pytest.mark.parametrize(
    "asked",
    [
        openai({"type": "image_url", "image_url": {"url": "https://a"}}),
        anthropic({"type": "image", "source": {"type": "url", "url": "https://a"}}),
        chat("openai", {"input": [{"type": "input_image", "file_id": "f"}]}),
        chat("openai", {"input": [{"output": {"type": "computer_screenshot", "file_id": "f"}}]}),
        Chat((Message("user", (Image(url="https://a"),)),)),
    ],
)
def test_what_is_behind_an_image_s_address_is_bounded_by_who_reads_it(asked: Chat) -> None:
    """Google takes it for what it is, OpenAI and Anthropic refuse what is no image."""
    prices, bound = PriceBook(load_catalogue()), cost_bound(asked, LIMIT)
    assert bound.fetched == 1
    window = prices.context_window("gemini", "gemini-3-flash-preview")
    most = most_cost(prices, "gemini", "gemini-3-flash-preview", 20_000, bound)
    assert most == prices.most("gemini", "gemini-3-flash-preview", window, LIMIT)
    assert most_cost(prices, "claude", "claude-opus-5-5", 20_000, bound) == prices.most(
        "claude", "claude-opus-5-5", 20_000, LIMIT
    )


def test_embeddings_of_other_dialects_are_bounded_by_their_bytes() -> None:
    text = "a" * 5000
    for item in ({"text": text}, [text], {"content": [{"type": "text", "text": text}]}):
        assert most_embedded_tokens({"input": [item]}) >= 5000
    pictures = {"content": [{"type": "image_url", "image_url": {"url": "https://a"}}] * 3}
    assert most_embedded_tokens({"input": [pictures]}) >= 3 * LARGEST_IMAGE
    assert most_embedded_tokens({"input": [[1, 2, 3], [4]]}) == 4
