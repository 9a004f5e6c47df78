"""Read AWS's event streams, with botocore's parser.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html describes the format,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html what
Bedrock sends in it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx

from providers.errors import MalformedResponse

# What an exception of a stream is in the words of Anthropic's errors.
_KINDS = {
    "throttlingException": "rate_limit_error",
    "serviceUnavailableException": "overloaded_error",
    "validationException": "invalid_request_error",
    "modelTimeoutException": "timeout_error",
    "accessDeniedException": "permission_error",
}
_OTHER_KIND = "api_error"
_LONGEST_WORDS = 500


async def frames(
    provider: str, response: httpx.Response
) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    """Yield the type and the JSON of each event.

    An exception is an event "error" in the form of Anthropic's streams. Raises
    :class:`providers.errors.MalformedResponse` and httpx's errors.
    """
    from botocore.eventstream import EventStreamBuffer, ParserError

    buffer = EventStreamBuffer()
    async for chunk in response.aiter_bytes():
        buffer.add_data(chunk)
        try:
            for message in buffer:
                yield _event(message.headers, message.payload)
        except (ParserError, ValueError) as error:
            raise MalformedResponse(provider, "streamed what is no event of AWS") from error


def _event(headers: Mapping[str, Any], payload: bytes) -> tuple[str, dict[str, Any]]:
    """Return one event. Raises ``ValueError`` if its payload is not a JSON object."""
    data = json.loads(payload) if payload else {}
    if not isinstance(data, dict):
        raise ValueError("not an object")
    if headers.get(":message-type", "event") == "event":
        return str(headers.get(":event-type", "")), data
    name = str(headers.get(":exception-type") or headers.get(":error-code") or "")
    words = data.get("message") or headers.get(":error-message") or ""
    kind = _KINDS.get(name[:1].lower() + name[1:], _OTHER_KIND)
    error = {"type": kind, "message": str(words)[:_LONGEST_WORDS]}
    return "error", {"type": "error", "error": error}
