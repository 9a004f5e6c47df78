"""Images, audio, moderation and ranking, as OpenAI, Groq, xAI, Cohere and Jina answer them.

The fields are those of the official SDK (openai 3.54, ``openai.types``), of
https://docs.cohere.com/reference/rerank and of https://api.jina.ai/docs.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from typing import Any

from tests.fakes.server import Asked, Reply
from tests.fakes.wires import KEY, openai_error

PNG = base64.b64encode(b"\x89PNG picture").decode()
SPOKEN = b"ID3 first " + b"second " + b"third"
TEXT = "Bonjour tout le monde."
IMAGE_USAGE = {
    "input_tokens": 50, "output_tokens": 400, "total_tokens": 450,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
}  # fmt: skip
TOKENS = {
    "type": "tokens", "input_tokens": 120, "output_tokens": 30, "total_tokens": 150,
    "input_token_details": {"text_tokens": 20, "audio_tokens": 100},
}  # fmt: skip
_FIELD = re.compile(rb'name="([^"]+)"(?:; filename="([^"]*)")?[^\n]*\r\n(?:[^\n]+\r\n)*\r\n', re.S)


def wav(seconds: float) -> bytes:
    """Return silence as a WAV file, 16 bits at 16 kHz."""
    data = b"\0" * int(seconds * 32_000)
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1,
                       16_000, 32_000, 2, 16)  # fmt: skip
    return head + struct.pack("<4sI", b"data", len(data)) + data


def form_of(asked: Asked) -> dict[str, list[bytes]]:
    """Return the values of a form by name; those of files are their bytes."""
    boundary = asked.headers["content-type"].partition("boundary=")[2].encode()
    values: dict[str, list[bytes]] = {}
    for part in asked.raw.split(b"--" + boundary)[1:-1]:
        head = _FIELD.search(part)
        assert head is not None, part[:200]
        values.setdefault(head[1].decode(), []).append(part[head.end() : -2])
    return values


def _sse(*events: dict[str, Any]) -> list[bytes]:
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]


def specialised_wire(asked: Asked) -> Reply:
    """Answer OpenAI's endpoints; strict about the key and about names that it does not know."""
    if asked.headers.get("authorization") != f"Bearer {KEY}":
        return openai_error(401, "invalid_api_key")
    task = asked.path.lstrip("/")
    form = form_of(asked) if "multipart" in asked.headers.get("content-type", "") else {}
    model = asked.body.get("model") or form.get("model", [b""])[0].decode()
    if "/" in model or not model:
        return openai_error(404, "model_not_found")
    return _ANSWERS[task](asked.body, form)


def _images(body: dict[str, Any], form: dict[str, list[bytes]]) -> Reply:
    count = int(body.get("n") or form.get("n", [b"1"])[0])
    if body.get("stream"):
        return Reply(chunks=_sse(
            {"type": "image_generation.partial_image", "b64_json": PNG, "partial_image_index": 0},
            {"type": "image_generation.completed", "b64_json": PNG, "usage": IMAGE_USAGE,
             "quality": "low", "size": "1024x1024", "background": "opaque", "created_at": 1,
             "output_format": "png"},
        ))  # fmt: skip
    return Reply({
        "created": 1, "data": [{"b64_json": PNG}] * count, "usage": IMAGE_USAGE,
        "quality": "low", "size": "1024x1024", "output_format": "png", "background": "opaque",
    })  # fmt: skip


def _hears(body: dict[str, Any], form: dict[str, list[bytes]]) -> Reply:
    model, shape = form["model"][0].decode(), form.get("response_format", [b"json"])[0].decode()
    if form.get("stream") == [b"true"]:
        return Reply(chunks=_sse(
            {"type": "transcript.text.delta", "delta": TEXT},
            {"type": "transcript.text.done", "text": TEXT, "usage": TOKENS},
        ))  # fmt: skip
    if shape == "srt":
        text = f"1\n00:00:00,000 --> 00:00:02,500\n{TEXT}\n\n2\n00:00:02,500 --> 00:01:30,250\nx\n"
        return Reply(text.encode(), headers={"content-type": "text/plain; charset=utf-8"})
    if shape == "verbose_json":
        usage: Any = {} if "large" in model else {"usage": {"type": "duration", "seconds": 95}}
        return Reply({"task": "transcribe", "text": TEXT, "duration": 94.6, "language": "french",
                      "segments": [], **usage})  # fmt: skip
    if "whisper" in model:
        return openai_error(400, "the verbose form was wanted")
    usage = {"type": "duration", "seconds": 12} if model == "gpt-transcribe" else TOKENS
    return Reply({"text": TEXT, "usage": usage})


def _spoken(body: dict[str, Any], form: dict[str, list[bytes]]) -> Reply:
    pieces = [SPOKEN[:10], SPOKEN[10:17], SPOKEN[17:]]
    if body.get("stream_format") == "sse":
        if body["model"].startswith("tts-1"):
            return openai_error(400, "sse is not supported")
        deltas = [
            {"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()}
            for piece in pieces
        ]
        usage = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
        return Reply(chunks=_sse(*deltas, {"type": "speech.audio.done", "usage": usage}))
    return Reply(chunks=pieces, headers={"content-type": "audio/mpeg"})


def _moderated(body: dict[str, Any], form: dict[str, list[bytes]]) -> Reply:
    result = {
        "flagged": False, "categories": {"violence": False},
        "category_scores": {"violence": 0.01}, "category_applied_input_types": {},
    }  # fmt: skip
    return Reply({"id": "modr-1", "model": body["model"], "results": [result]})


_ANSWERS = {
    "images/generations": _images,
    "images/edits": _images,
    "audio/transcriptions": _hears,
    "audio/translations": _hears,
    "audio/speech": _spoken,
    "moderations": _moderated,
}


def cohere_wire(asked: Asked) -> Reply:
    """Answer ``/v2/rerank``, which takes texts alone and knows no ``return_documents``."""
    body = asked.body
    unknown = body.keys() - {"model", "query", "documents", "top_n", "max_tokens_per_doc"}
    texts = all(isinstance(document, str) for document in body["documents"])
    if asked.path != "/v2/rerank" or unknown or not texts:
        return Reply({"message": f"unknown field: {sorted(unknown)}"}, 400)
    results = [
        {"index": index, "relevance_score": 0.9 - index / 10}
        for index in range(body.get("top_n") or len(body["documents"]))
    ]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return Reply({"id": "r-1", "results": results, "meta": meta})


def jina_wire(asked: Asked) -> Reply:
    """Answer ``/rerank`` in Jina's form."""
    if asked.path != "/rerank":
        return Reply({"detail": "Not found"}, 404)
    results = [
        {"index": index, "relevance_score": 0.5, "document": {"text": str(document)}}
        for index, document in enumerate(asked.body["documents"])
    ]
    usage = {"total_tokens": 240}
    return Reply({"model": asked.body["model"], "usage": usage, "results": results})
