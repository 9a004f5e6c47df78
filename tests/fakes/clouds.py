"""Clouds, as strict as their SDKs' models of them: address, version, proof of who calls, body."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.fakes.server import Asked, Reply
from tests.fakes.streams import anthropic_stream, pieces
from tests.fakes.wires import (
    ANSWER,
    KEY,
    anthropic_message,
    as_asked,
    gemini_response,
    openai_completion,
)

TOKEN = "token-of-the-cloud-1"
PROJECT, LOCATION = "my-project", "europe-west1"
REGION, ACCESS_KEY, SECRET_KEY = (
    "eu-west-1",
    "AKIDEXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
)
CALL_ID, TOOL_NAME = "tooluse_1", "look"
Check = Callable[[Asked], str | None]


def openai_refusal(status: int, message: str) -> Reply:
    return Reply({"error": {"message": message, "code": str(status)}}, status)


# --- Azure ----------------------------------------------------------------------------------------


def azure_wire(
    deployment: str, *, version: str = "", header: tuple[str, str] = ("api-key", KEY)
) -> Callable[[Asked], Reply]:
    """Azure OpenAI with one deployment. https://learn.microsoft.com/azure/ai-foundry/openai/reference"""

    def answer(asked: Asked) -> Reply:
        if asked.headers.get(header[0]) != header[1]:
            return openai_refusal(401, "Access denied due to invalid subscription key")
        named = f"/openai/deployments/{deployment}/chat/completions"
        if asked.path != (named if version else "/openai/v1/chat/completions"):
            return openai_refusal(404, f"Resource not found: {asked.path}")
        if asked.query != (f"api-version={version}" if version else ""):
            return openai_refusal(404, f"Wrong version: {asked.query}")
        if asked.body.get("model") != deployment:
            return openai_refusal(404, "DeploymentNotFound")
        if version and "prompt_cache_key" in asked.body:
            return openai_refusal(400, "Unrecognized request argument supplied: prompt_cache_key")
        if "max_tokens" in asked.body:
            return openai_refusal(400, "Use max_completion_tokens")
        # Azure names the model that is deployed, and what its filters saw.
        body = openai_completion("gpt-6.1-sol-2026-09-30", prompt_filter_results=[])
        if asked.body.get("tools"):
            function = {"name": TOOL_NAME, "arguments": '{"at": "the sky"}'}
            call = {"id": CALL_ID, "type": "function", "function": function}
            body["choices"][0]["message"] = {"role": "assistant", "tool_calls": [call]}
            body["choices"][0]["finish_reason"] = "tool_calls"
        return as_asked(asked, body)

    return answer


# --- Claude in envelopes --------------------------------------------------------------------------


def claude_body(asked: Asked, *, version: str) -> dict[str, Any] | str:
    """The message that answers a request in an envelope, or what is wrong with that."""
    body = asked.body
    if body.get("anthropic_version") != version:
        return "anthropic_version: field required"
    if unknown := body.keys() & {"model", "service_tier"}:
        return f"{sorted(unknown)[0]}: Extra inputs are not permitted"
    if not isinstance(body.get("max_tokens"), int) or not body.get("messages"):
        return "max_tokens: field required"
    message = anthropic_message("claude")
    if body.get("tools"):
        message["content"] = [
            {"type": "tool_use", "id": CALL_ID, "name": TOOL_NAME, "input": {"at": "the sky"}}
        ]
        message["stop_reason"] = "tool_use"
    return message


def foundry_wire(deployment: str) -> Callable[[Asked], Reply]:
    """Claude in Microsoft Foundry, with tokens of Entra ID."""

    def answer(asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}" or "x-api-key" in asked.headers:
            return _anthropic_refusal(401, "authentication_error")
        if asked.path != "/anthropic/v1/messages" or asked.body.get("model") != deployment:
            return _anthropic_refusal(404, "not_found_error")
        if "anthropic-version" not in asked.headers:
            return _anthropic_refusal(400, "invalid_request_error")
        inner = {k: v for k, v in asked.body.items() if k != "model"}
        body = claude_body(
            Asked(asked.path, asked.headers, {**inner, "anthropic_version": "x"}), version="x"
        )
        assert isinstance(body, dict), body
        return as_asked(asked, body)

    return answer


def _anthropic_refusal(status: int, kind: str, message: str = "as told") -> Reply:
    return Reply({"type": "error", "error": {"type": kind, "message": message}}, status)


# --- Vertex AI ------------------------------------------------------------------------------------


def google_refusal(status: int, message: str) -> Reply:
    states = {401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
    state = states.get(status, "INVALID_ARGUMENT")
    return Reply({"error": {"code": status, "message": message, "status": state}}, status)


def vertex_wire(asked: Asked) -> Reply:
    """Gemini and Claude in one project and location, with a token of Google's."""
    if asked.headers.get("authorization") != f"Bearer {TOKEN}":
        return google_refusal(401, "Request had invalid authentication credentials.")
    prefix = f"/v1/projects/{PROJECT}/locations/{LOCATION}/publishers/"
    if not asked.path.startswith(prefix):
        return google_refusal(404, f"Not found: {asked.path}")
    publisher, _, rest = asked.path.removeprefix(prefix).partition("/models/")
    model, _, method = unquote(rest).partition(":")
    if publisher == "google":
        return _vertex_gemini(asked, model, method)
    if publisher != "anthropic" or method not in ("rawPredict", "streamRawPredict"):
        return google_refusal(404, f"Not found: {asked.path}")
    if model == "count-tokens":
        return Reply({"input_tokens": 17})
    if (method == "streamRawPredict") != bool(asked.body.get("stream")):
        return google_refusal(400, "The method does not fit the field stream.")
    body = claude_body(asked, version="vertex-2023-10-16")
    if isinstance(body, str):
        return _anthropic_refusal(400, "invalid_request_error", body)
    return as_asked(asked, body)


def _vertex_gemini(asked: Asked, model: str, method: str) -> Reply:
    if any(content.get("role") not in ("user", "model") for content in asked.body["contents"]):
        return google_refusal(400, "Please use a valid role: user, model.")
    if method == "countTokens":
        return Reply({"totalTokens": 17})
    if method not in ("generateContent", "streamGenerateContent"):
        return google_refusal(404, f"Not found: {method}")
    body = gemini_response(model)
    if asked.body.get("tools"):
        call = {"name": TOOL_NAME, "args": {"at": "the sky"}}
        body["candidates"][0]["content"]["parts"] = [{"functionCall": call}]
    return as_asked(asked, body)


# --- Amazon Bedrock -------------------------------------------------------------------------------


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message of an AWS event stream, whose headers are texts."""
    written = b"".join(
        struct.pack("!B", len(name)) + name.encode() + b"\x07"
        + struct.pack("!H", len(value)) + value.encode()
        for name, value in headers.items()
    )  # fmt: skip
    prelude = struct.pack("!II", 16 + len(written) + len(payload), len(written))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + written + payload
    return message + struct.pack("!I", zlib.crc32(message))


def event(kind: str, data: Any) -> bytes:
    headers = {
        ":event-type": kind, ":content-type": "application/json", ":message-type": "event",
    }  # fmt: skip
    return frame(headers, json.dumps(data).encode())


def exception(kind: str, message: str) -> bytes:
    headers = {
        ":exception-type": kind, ":content-type": "application/json",
        ":message-type": "exception",
    }  # fmt: skip
    return frame(headers, json.dumps({"message": message}).encode())


def claude_chunks(body: dict[str, Any]) -> list[bytes]:
    """The events of Anthropic's stream, each in a chunk of Bedrock's."""
    texts = [raw.partition(b"data: ")[2].strip() for raw in anthropic_stream(body)]
    return [event("chunk", {"bytes": base64.b64encode(text).decode()}) for text in texts]


CONVERSED = {"inputTokens": 13, "outputTokens": 9, "totalTokens": 29}
CACHED = {"cacheReadInputTokens": 4, "cacheWriteInputTokens": 3}


def converse_answer(body: Mapping[str, Any], *, called: bool) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"text": ANSWER}]
    if called:
        use = {"toolUseId": CALL_ID, "name": TOOL_NAME, "input": {"at": "the sky"}}
        content = [{"toolUse": use}]
    if "additionalModelRequestFields" in body:
        text = {"text": "France has one capital.", "signature": "sealed"}
        content = [{"reasoningContent": {"reasoningText": text}}, *content]
    answer = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use" if called else "end_turn",
        "usage": {**CONVERSED, **CACHED},
        "metrics": {"latencyMs": 7},
    }
    if tier := body.get("serviceTier"):
        answer["serviceTier"] = tier
    return answer


def converse_chunks(answer: Mapping[str, Any]) -> list[bytes]:
    """The events that spell a whole answer of the Converse API."""
    chunks = [event("messageStart", {"role": "assistant"})]
    for index, block in enumerate(answer["output"]["message"]["content"]):

        def delta(change: dict[str, Any], index: int = index) -> bytes:
            return event("contentBlockDelta", {"delta": change, "contentBlockIndex": index})

        if "text" in block:
            chunks += [delta({"text": piece}) for piece in pieces(block["text"])]
        elif "toolUse" in block:
            start = {"toolUse": {k: block["toolUse"][k] for k in ("toolUseId", "name")}}
            chunks.append(event("contentBlockStart", {"start": start, "contentBlockIndex": index}))
            text = json.dumps(block["toolUse"]["input"])
            chunks += [delta({"toolUse": {"input": piece}}) for piece in pieces(text)]
        else:
            reasoning = block["reasoningContent"]["reasoningText"]
            chunks += [
                delta({"reasoningContent": {"text": piece}}) for piece in pieces(reasoning["text"])
            ]
            chunks.append(delta({"reasoningContent": {"signature": reasoning["signature"]}}))
        chunks.append(event("contentBlockStop", {"contentBlockIndex": index}))
    chunks.append(event("messageStop", {"stopReason": answer["stopReason"]}))
    about = {k: v for k, v in answer.items() if k in ("usage", "metrics", "serviceTier")}
    return [*chunks, event("metadata", about)]


def torn_apart(chunks: Iterable[bytes], size: int = 11) -> list[bytes]:
    raw = b"".join(chunks)
    return [raw[start : start + size] for start in range(0, len(raw), size)]


@dataclass
class BedrockWire:
    """Bedrock of one region. ``authorize`` says what is wrong with the proof of who calls.

    Bodies of the Converse API are checked with the model of it that botocore has.
    """

    authorize: Check
    models: list[str] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Reply:
        if wrong := self.authorize(asked):
            return bedrock_refusal(403, "InvalidSignatureException", wrong)
        # The fake server gives the path decoded; what was signed is not.
        _, _, model, method = asked.path.split("/")
        self.models.append(model)
        if method in ("converse", "converse-stream"):
            if wrong := converse_faults(model, asked.body):
                return bedrock_refusal(400, "ValidationException", wrong)
            called = "toolConfig" in asked.body
            answer = converse_answer(asked.body, called=called)
            return _streamed_or(method, answer, converse_chunks(answer))
        if method == "count-tokens":
            inner = json.loads(base64.b64decode(asked.body["input"]["invokeModel"]["body"]))
            return Reply({"inputTokens": 17 if inner["messages"] else 0})
        if method not in ("invoke", "invoke-with-response-stream") or "stream" in asked.body:
            return bedrock_refusal(404, "UnknownOperationException", method)
        body = claude_body(asked, version="bedrock-2023-05-31")
        if isinstance(body, str):
            return bedrock_refusal(400, "ValidationException", body)
        return _streamed_or(method, body, claude_chunks(body))


def _streamed_or(method: str, whole: Any, chunks: list[bytes]) -> Reply:
    if not method.endswith("stream"):
        return Reply(whole)
    kind = {"content-type": "application/vnd.amazon.eventstream"}
    return Reply(chunks=torn_apart(chunks), headers=kind)


def bedrock_refusal(status: int, kind: str, message: str, **headers: str) -> Reply:
    named = {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/"}
    return Reply({"message": message}, status, headers={**named, **headers})


def converse_faults(model: str, body: Mapping[str, Any]) -> str | None:
    """What botocore's model of the Converse API finds wrong with a body."""
    from botocore.loaders import Loader
    from botocore.model import ServiceModel
    from botocore.validate import ParamValidator

    service = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))
    shape = service.operation_model("Converse").input_shape
    report = ParamValidator().validate({"modelId": model, **_blobs(body)}, shape)
    if report.has_errors():
        return str(report.generate_report())
    return _unknown(shape, body)


def _blobs(value: Any, name: str = "") -> Any:
    """``value`` with its base64 as bytes, as botocore wants them."""
    if isinstance(value, Mapping):
        return {key: _blobs(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_blobs(inner) for inner in value]
    if name in ("bytes", "redactedContent") and isinstance(value, str):
        return base64.b64decode(value, validate=True)
    return value


def _unknown(shape: Any, value: Any, where: str = "") -> str | None:
    """The first field that the shape does not have."""
    if shape.type_name == "structure" and not shape.is_document_type:
        for name, inner in value.items():
            if name not in shape.members:
                return f"{where}.{name} is unknown"
            if wrong := _unknown(shape.members[name], inner, f"{where}.{name}"):
                return wrong
    elif shape.type_name == "list":
        for inner in value:
            if wrong := _unknown(shape.member, inner, where):
                return wrong
    return None


def signature_check(asked_url: str) -> Check:
    """What checks a SigV4 signature of a request to ``asked_url``, with botocore itself."""

    def check(asked: Asked) -> str | None:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        claimed = asked.headers.get("authorization", "")
        if not claimed.startswith("AWS4-HMAC-SHA256 "):
            return "Missing Authentication Token"
        parts = dict(p.strip().split("=", 1) for p in claimed.partition(" ")[2].split(","))
        token = asked.headers.get("x-amz-security-token")
        scope = parts["Credential"].split("/", 1)[1]
        day, region, service, _ = scope.split("/")
        if (region, service) != (REGION, "bedrock"):
            return f"Credential should be scoped to a valid region: {scope}"
        # Signed again, with the time and the headers that it names.
        kept = {n: asked.headers[n] for n in parts["SignedHeaders"].split(";") if n != "host"}
        kept.pop("x-amz-date", None), kept.pop("x-amz-security-token", None)
        request = AWSRequest("POST", f"{asked_url}{asked.sent_path}", kept, asked.raw)
        request.context["timestamp"] = asked.headers["x-amz-date"]
        request.headers["X-Amz-Date"] = asked.headers["x-amz-date"]
        if token:
            request.headers["X-Amz-Security-Token"] = token
        signer = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY, token), service, region)
        canonical = signer.canonical_request(request)
        expected = signer.signature(signer.string_to_sign(request, canonical), request)
        return None if expected == parts["Signature"] else f"The signature does not match: {day}"

    return check


def bearer_check(key: str) -> Check:
    """What checks an API key of Bedrock."""

    def check(asked: Asked) -> str | None:
        claimed = asked.headers.get("authorization")
        return None if claimed == f"Bearer {key}" else "The bearer token is invalid"

    return check
