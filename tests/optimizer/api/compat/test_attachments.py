"""Images and documents that clients attach as base64, under names that are often wrong."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Start
from tests.fakes.server import FakeProvider
from tests.fakes.wires import KEY, openai_wire

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\xfb\xff\xfe" * 9).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(20)).decode()
PDF = base64.b64encode(b"%PDF-1.7\n").decode()
CSV = base64.b64encode(b"\xef\xbb\xbfa,b\n1,2\n").decode()
# A plain server with OpenAI's API, which has no feature of documents.
SEEING_MODEL = """
[[models]]
provider = "cerebras"
id = "seeing"
tier = "moderate"
context_window = 1048576
capabilities = ["vision"]
"""
CLAUDE, GEMINI = "claude/claude-haiku-4-5", "gemini/gemini-3.5-flash-lite"


def _image(media_type: str, data: str) -> tuple[dict[str, Any], dict[str, Any]]:
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": "image", "source": source}, {
        "inlineData": {"mimeType": media_type, "data": data}
    }


def _pdf() -> tuple[dict[str, Any], dict[str, Any]]:
    block, part = _image("application/pdf", PDF)
    return {**block, "type": "document"}, part


def _url(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


async def _sent(served: str, fakes: dict[str, FakeProvider], path: str, body: Any) -> Any:
    async with httpx.AsyncClient(base_url=served) as client:
        answer = await client.post(path, json=body, headers={"cache-control": "no-store"})
    assert answer.status_code == 200, answer.text
    (asked,) = [*fakes["claude"].asked, *fakes["gemini"].asked]
    messages = asked.body.get("messages") or asked.body["contents"]
    return next(v for k, v in messages[0].items() if k != "role")[-1]


# https://github.com/vybestack/llxprt-code/issues/2130 (bytes of another type),
# https://github.com/NousResearch/hermes-agent/issues/55432 (image/jpg),
# https://github.com/brianpetro/obsidian-smart-connections/issues/1238 (image/jpg at Gemini),
# https://github.com/BerriAI/litellm/pull/39977 (PDFs as images),
# https://github.com/genkit-ai/genkit-dart/pull/390 (parameters, either case, broken lines)
@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"data:image/jpeg;base64,{PNG}", _image("image/png", PNG)),
        (f"data:image/png;base64,{JPEG}", _image("image/jpeg", JPEG)),
        (f"data:application/octet-stream;base64,{PNG}", _image("image/png", PNG)),
        (f"data:;base64,{JPEG}", _image("image/jpeg", JPEG)),
        (f"DATA:IMAGE/PNG;BASE64,{PNG}", _image("image/png", PNG)),
        (f"data:image/png; name=a b.png; base64, {PNG}", _image("image/png", PNG)),
        (f"data:image/png;base64,{PNG[:8]}\r\n{PNG[8:]}", _image("image/png", PNG)),
        (f"data:image/png;base64,{JPEG.rstrip('=')}", _image("image/jpeg", JPEG)),
        ("data:image/jpg;base64,AAAA", _image("image/jpeg", "AAAA")),
        (f"data:application/pdf;base64,{PDF}", _pdf()),
        (f"data:image/png;base64,{PDF}", _pdf()),
    ],
)
async def test_an_image_url_is_sent_as_what_its_bytes_are(
    served: str, fakes: dict[str, FakeProvider], model: str, url: str, expected: tuple[Any, Any]
) -> None:
    content = [{"type": "text", "text": "What?"}, _url(url)]
    body = {"model": model, "messages": [{"role": "user", "content": content}]}
    sent = await _sent(served, fakes, "/v1/chat/completions", body)
    assert sent == expected[model == GEMINI]


async def test_a_document_by_its_address_is_no_image(
    served: str, fakes: dict[str, FakeProvider]
) -> None:
    url = "https://example.com/a.PDF?x=1"
    body = {"model": CLAUDE, "messages": [{"role": "user", "content": [_url(url)]}]}
    sent = await _sent(served, fakes, "/v1/chat/completions", body)
    assert sent == {"type": "document", "source": {"type": "url", "url": url}}


@pytest.mark.parametrize("padding", ["", "A" * 400_000], ids=["small", "large"])
@pytest.mark.parametrize(
    "url",
    [
        f"data:application/pdf;base64,{PDF}",
        "https://example.com/a.pdf",
        "data:video/mp4;base64,AAAA",
    ],
)
async def test_a_named_model_of_the_same_api_gets_the_image_url_as_it_came(
    transactional_db: None, start: Start, monkeypatch: pytest.MonkeyPatch, settings: Any,
    tmp_path: Path, url: str, padding: str,
) -> None:  # fmt: skip
    """The server may be a gateway itself: https://github.com/BerriAI/litellm/pull/39977."""
    settings.CATALOGUE_FILE = str(tmp_path / "own.toml")
    (tmp_path / "own.toml").write_text(SEEING_MODEL)
    content = [{"type": "text", "text": f"What? {padding}"}, _url(url)]
    body: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
    async with FakeProvider(openai_wire()) as fake:
        monkeypatch.setenv("CEREBRAS_API_KEY", KEY)
        monkeypatch.setenv("CEREBRAS_BASE_URL", fake.url)
        client = await start()
        named = await client.post("/v1/chat/completions", json={**body, "model": "cerebras/seeing"})
        assert named.status_code == 200, named.text
        assert fake.asked[-1].body["messages"] == body["messages"]
        routed = await client.post("/v1/chat/completions", json={**body, "model": "auto"})
        assert routed.status_code == 400
        assert len(fake.asked) == 1


# https://github.com/langchain-ai/langchain/issues/37576
@pytest.mark.parametrize(
    ("path", "content"),
    [
        (
            "/v1/chat/completions",
            {"type": "file", "file": {"filename": "a.csv", "file_data": CSV}},
        ),
        (
            "/v1/responses",
            {"type": "input_file", "filename": "a.csv", "file_data": f"data:;base64,{CSV}"},
        ),
    ],
)  # fmt: skip
async def test_claude_gets_a_file_of_text_as_text(
    served: str, fakes: dict[str, FakeProvider], path: str, content: dict[str, Any]
) -> None:
    field = "input" if "responses" in path else "messages"
    body = {"model": CLAUDE, field: [{"role": "user", "content": [content]}]}
    sent = await _sent(served, fakes, path, body)
    source = {"type": "text", "media_type": "text/plain", "data": "a,b\n1,2\n"}
    assert sent == {"type": "document", "source": source, "title": "a.csv"}


async def test_google_sdk_writes_base64_for_urls(
    served: str, fakes: dict[str, FakeProvider]
) -> None:
    # https://github.com/google/adk-python/issues/825
    data = base64.urlsafe_b64encode(base64.b64decode(PNG)).decode()
    assert data != PNG
    part = {"inlineData": {"mimeType": "image/png", "data": data}}
    body = {"contents": [{"role": "user", "parts": [{"text": "What?"}, part]}]}
    path = "/v1beta/models/claude-haiku-4-5:generateContent"
    assert await _sent(served, fakes, path, body) == _image("image/png", PNG)[0]


async def test_an_anthropic_client_names_a_picture_wrongly(
    served: str, fakes: dict[str, FakeProvider]
) -> None:
    block = _image("image/png", JPEG)[0]
    result = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    call = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
    body = {
        "model": GEMINI,
        "max_tokens": 99,
        "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": [block]},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ],
    }
    assert await _sent(served, fakes, "/v1/messages", body) == _image("image/jpeg", JPEG)[1]
    (asked,) = fakes["gemini"].asked
    assert "image/png" not in str(asked.body)
