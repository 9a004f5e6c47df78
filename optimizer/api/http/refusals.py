"""Which replies are refusals that are recorded, and what is known of the refused request."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from optimizer.api.http.endpoint import JsonReply
from optimizer.api.http.failure import Failure
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.gateway.recording.refusals import RefusedRequest
from optimizer.wiring.services import Services
from providers.specialised.requests import KINDS

# The endpoints that answer prompts, by path, and their names in the ledger.
_ENDPOINTS = {
    "/complete": "complete",
    "/v1/chat/completions": "chat/completions",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/embeddings": "embeddings",
    "/v1/messages": "messages",
    **{f"/v1/{task}": task for task in KINDS},
    "/v2/rerank": "rerank",
}
_OWN_PREFIX = "/api/v1"
_GEMINI = re.compile(
    r"(?:/v1/(?=models/|tunedModels/)|/v1(?:beta|alpha)/)(?:models/|tunedModels/)?"
    r"(?P<model>.{1,200})"
    r":(?P<method>generateContent|streamGenerateContent|embedContent|batchEmbedContents)"
)
_GEMINI_NAMES = {"streamGenerateContent": "generateContent", "batchEmbedContents": "embedContent"}
_CODES = {
    "invalid": "invalid_request",
    "unauthorized": "invalid_api_key",
    "forbidden": "permission_denied",
    "not_found": "not_found",
    "too_large": "request_too_large",
    "rate_limited": "rate_limit_exceeded",
    "timeout": "timeout",
}
_KINDS_BY_STATUS = {401: "unauthorized", 402: "billing", 403: "forbidden", 404: "not_found",
                    408: "timeout", 413: "too_large", 429: "rate_limited"}  # fmt: skip
_INVALID = frozenset({400, 415, 422})
# Of these reasons, the texts are ours and quote at most the name of a model.
_OWN_WORDS = frozenset({"model_not_found", "unsupported_feature"})
_FIELD = re.compile(r"[a-z_][a-z0-9_]*(\[\d+\]|\.\d+|\.[a-z_][a-z0-9_]*)*", re.ASCII)
_LONGEST_FIELD = 80


def answering_endpoint(path: str) -> tuple[str, str] | None:
    """Return the endpoint at ``path`` and the model that the path names; ``None`` for others."""
    if name := _ENDPOINTS.get(path.removeprefix(_OWN_PREFIX)):
        return name, ""
    gemini = _GEMINI.fullmatch(path)
    if gemini is None:
        return None
    method = gemini["method"]
    return _GEMINI_NAMES.get(method, method), gemini["model"]


def note_reply(
    services: Services, path: str, reply: JsonReply, request_id: uuid.UUID,
    client: Client = ANONYMOUS, data: Any = None,
) -> None:  # fmt: skip
    """Record ``reply`` if it is a refusal of ours at an endpoint that answers prompts."""
    if 400 <= reply.status < 500:
        failure = reply.failure or _failure_in(reply)
        note_failure(services, path, failure, request_id, client, data, status=reply.status)


def note_failure(
    services: Services, path: str, failure: Failure, request_id: uuid.UUID,
    client: Client = ANONYMOUS, data: Any = None, *, source: str = "", status: int | None = None,
) -> None:  # fmt: skip
    """Record ``failure`` if it is a refusal of ours at an endpoint that answers prompts."""
    status = status or failure.status
    endpoint = answering_endpoint(path)
    if endpoint is None or not failure.ours or not 400 <= status < 500:
        return
    name, model = endpoint
    code = _code_of(failure, status)
    sent = data if isinstance(data, Mapping) else {}
    services.refusals.note(
        RefusedRequest(
            request_id,
            name,
            status,
            code,
            failure.message,
            plain=_without_quotation(failure),
            quotes=status in _INVALID and code not in _OWN_WORDS,
            client=client,
            source=source,
            requested_model=model or _text(sent.get("model")),
            user_id=_text(sent.get("user")),
            streamed=sent.get("stream") is True or path.endswith(":streamGenerateContent"),
        )
    )


def _code_of(failure: Failure, status: int) -> str:
    if failure.code:
        return failure.code
    if failure.param == "body" or (failure.errors and set(failure.errors) == {"body"}):
        return "invalid_json" if status == 400 else _CODES.get(failure.kind, "invalid_request")
    return _CODES.get(failure.kind, failure.kind)


def _without_quotation(failure: Failure) -> str:
    fields = (failure.param or "").split(", ") if failure.param else list(failure.errors or ())
    known = [f for f in fields if len(f) <= _LONGEST_FIELD and _FIELD.fullmatch(f)]
    return f"Not valid: {', '.join(known[:5])}." if known else "The request is not valid."


def _failure_in(reply: JsonReply) -> Failure:
    """Read the failure from a reply that an API wrote itself."""
    body: Mapping[str, Any] = {} if isinstance(reply.body, bytes) else reply.body
    error = body.get("error")
    error = error if isinstance(error, Mapping) else {}
    kind = _KINDS_BY_STATUS.get(reply.status, "invalid")
    return Failure(
        reply.status,
        kind,  # type: ignore[arg-type]  # the values of the table are kinds
        _text(error.get("message") or body.get("detail")),
        _text(error.get("param")) or None,
        _text(error.get("code") or body.get("code")) or None,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
