"""A provider that does not speak HTTP is a failed connection like any other."""

from __future__ import annotations

import pytest

from providers.chat import Chat
from providers.completion import CompletionRequest
from providers.errors import ProviderError
from providers.http.transport import HttpClient
from providers.openai.client import OpenAIProvider
from tests.faults.villain import BODY, says, says_and_leaves, villain

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@pytest.mark.parametrize(
    "deed",
    [
        says_and_leaves(b"220 mail.example ESMTP\r\n"),
        says_and_leaves(b"\x00\xff" * 500),
        says_and_leaves(b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 20_000),
        says(_HEAD + b"content-length: many\r\n\r\n" + BODY),
        says(_HEAD + b"content-length: 5\r\ncontent-length: 9\r\n\r\n" + BODY),
        says(_HEAD + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope"),
    ],
    ids=[
        "another protocol",
        "garbage",
        "no end of the head",
        "no length",
        "two lengths",
        "no gzip",
    ],
)
async def test_what_is_no_http_is_a_provider_s_error(http: HttpClient, deed: object) -> None:
    async with villain() as bad:
        bad.deed = deed  # type: ignore[assignment]
        provider = OpenAIProvider("bad", http, bad.url, "key")
        for method in ("complete", "stream"):
            request = CompletionRequest("m", Chat.of_prompt("Hello", 10))
            with pytest.raises(ProviderError) as caught:
                if method == "complete":
                    await provider.complete(request)
                else:
                    _ = [event async for event in provider.stream(request)]
            assert caught.value.code in {"connection_failed", "malformed_response"}
