"""Clients of Amazon Bedrock: the Converse API, and Anthropic's own body by InvokeModel.

https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-runtime_example_bedrock-runtime_Converse_section.html
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import httpx
import orjson
from yarl import URL

from providers import features
from providers.anthropic.answer import MessageCallNames, read_message
from providers.bedrock.converse_blocks import as_message
from providers.bedrock.converse_request import LONGEST_TOOL_NAME, converse_payload
from providers.bedrock.converse_stream import ConverseStream
from providers.bedrock.event_stream import frames
from providers.bedrock.signing import aws_credentials, signed
from providers.clouds.claude import EnvelopedClaude
from providers.clouds.client import CloudClient
from providers.clouds.credentials import Renewed, is_installed, not_installed
from providers.completion import Completion, CompletionRequest
from providers.errors import (
    AuthenticationFailed,
    ProviderError,
    RateLimited,
    RequestTimedOut,
    error_for_status,
)
from providers.http.streaming import JsonMessages, StreamReader
from providers.http.transport import Target
from providers.http.unlabelled import ReadResponse
from providers.large_json import LARGE_BYTES

logger = logging.getLogger(__name__)

PACKAGE = "botocore"

# https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html: these come
# with a 403, like a lack of permission, but the credentials are at fault.
_BAD_CREDENTIALS = frozenset(
    {
        "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException",
        "InvalidSignatureException", "InvalidClientTokenId", "IncompleteSignatureException",
        "MissingAuthenticationTokenException",
    }
)  # fmt: skip


class _BedrockClient(CloudClient):
    """A client of one region, whose requests are signed or carry an API key of Bedrock."""

    _region = ""
    _installed = False

    def configure(self, settings: Mapping[str, str]) -> None:
        """Take ``region``; without an API key of Bedrock, requests are signed."""
        self._region = settings.get("region", "")
        if not self._base_url:
            self._base_url = f"https://bedrock-runtime.{self._region}.amazonaws.com"
        # Its parser reads the streams, whatever proves who calls.
        self._installed = is_installed(PACKAGE)
        if not self._api_key:
            self.credential = Renewed(self.name, PACKAGE, aws_credentials())

    async def _authorized(
        self, path: str, content: bytes, headers: Mapping[str, str], *, streamed: bool
    ) -> Mapping[str, str]:
        if not self._installed:
            raise not_installed(self.name, PACKAGE)
        kind = "application/vnd.amazon.eventstream" if streamed else "application/json"
        headers = {**headers, "content-type": "application/json", "accept": kind}
        if self.credential is None:
            return {**headers, "authorization": f"Bearer {self._api_key}"}
        credentials = await self.credential.get()
        args = (credentials, self._region, f"{self._base_url}{path}", content, headers)
        if len(content) > LARGE_BYTES:  # all of it is hashed
            return await asyncio.to_thread(signed, *args)
        return signed(*args)

    def _target(self, path: str, headers: Mapping[str, str], streamed: bool) -> Target:
        # Each request has a signature of its own, of its path as it is written here.
        timeout = self._stream_timeout if streamed else self._timeout
        target = Target.of("http://x", headers, timeout)
        return Target(URL(f"{self._base_url}{path}", encoded=True), target.headers, target.timeout)

    def _error(self, status: int, headers: httpx.Headers, raw: bytes) -> ProviderError:
        error = super()._error(status, headers, raw)
        kind = headers.get("x-amzn-errortype", "").partition(":")[0].rpartition("#")[2]
        other = self._error_of_kind(kind, status)
        if other is not None:
            other.retry_after, other.words = error.retry_after, error.words
            other.wire, other.headers = error.wire, error.headers
            error = other
        return error

    def _error_of_kind(self, kind: str, status: int) -> ProviderError | None:
        """Return what Bedrock's name of an error says that its status does not."""
        if kind in _BAD_CREDENTIALS:
            if self.credential is not None:
                self.credential.forget()
            words = f"refused the credentials ({kind})"
            return AuthenticationFailed(self.name, words, status=status)
        if kind == "ServiceQuotaExceededException":
            return RateLimited(self.name, "has used up a quota of the account", status=429)
        if kind == "ModelTimeoutException":
            error = RequestTimedOut(self.name, "took too long to answer", status=status)
            error.maybe_charged = True
            return error
        if kind == "ModelErrorException":
            return error_for_status(self.name, 500)
        return None


class BedrockProvider(_BedrockClient):
    """Bedrock's Converse API, for the models of all makers: ``POST /model/{model}/converse``."""

    wire = "bedrock-converse"
    features = features.BEDROCK_CONVERSE

    def _path(self, request: CompletionRequest, wire: str | None, *, stream: bool) -> str:
        method = "converse-stream" if stream else "converse"
        return f"/model/{quote(request.model, safe='')}/{method}"

    def _headers(self, request: CompletionRequest) -> Mapping[str, str]:
        return {}

    def _payload(self, request: CompletionRequest, wire: str | None) -> dict[str, Any]:
        return converse_payload(request, self.name)

    def _parse(
        self, request: CompletionRequest, wire: str | None, body: dict[str, Any]
    ) -> Completion:
        names = MessageCallNames(request, LONGEST_TOOL_NAME)
        return read_message(self.name, request, as_message(body), names)

    def _reader(self, request: CompletionRequest, wire: str | None) -> StreamReader:
        return ConverseStream(self.name, MessageCallNames(request, LONGEST_TOOL_NAME))

    async def _messages(self, response: httpx.Response | ReadResponse) -> JsonMessages:
        assert isinstance(response, httpx.Response)
        async with aclosing(frames(self.name, response)) as events:
            async for name, data in events:
                yield name, "", data


class BedrockClaudeProvider(EnvelopedClaude, _BedrockClient):
    """Claude on Bedrock, by Anthropic's own body: ``POST /model/{model}/invoke``."""

    version = "bedrock-2023-05-31"
    refused_betas = frozenset({"claude-code", "task-budgets"})
    _streamed: dict[str, Any] = {}  # the path says it

    async def count_tokens(self, request: CompletionRequest) -> int:
        """Return the provider's own count of input tokens. Raises :class:`ProviderError`."""
        payload = {"max_tokens": 1, **self._counted(request)}
        inner = base64.b64encode(orjson.dumps(payload)).decode()
        path = f"/model/{quote(_without_profile(request.model), safe='')}/count-tokens"
        body = await self.post(path, {"input": {"invokeModel": {"body": inner}}}, {})
        with self._reading:
            return int(body["inputTokens"])

    def _path(self, request: CompletionRequest, wire: str | None, *, stream: bool) -> str:
        method = "invoke-with-response-stream" if stream else "invoke"
        return f"/model/{quote(request.model, safe='')}/{method}"

    def _payload(self, request: CompletionRequest, wire: str | None) -> dict[str, Any]:
        body = super()._payload(request, wire)
        if betas := self.betas(request.chat):
            body["anthropic_beta"] = betas
        return body

    def _error(self, status: int, headers: httpx.Headers, raw: bytes) -> ProviderError:
        return self._error_of_wire(super()._error(status, headers, raw))

    async def _messages(self, response: httpx.Response | ReadResponse) -> JsonMessages:
        assert isinstance(response, httpx.Response)
        async with aclosing(frames(self.name, response)) as events:
            async for name, data in events:
                if name == "error":
                    yield name, json.dumps(data), data
                elif (message := _message(data.get("bytes"))) is None:
                    logger.warning("%s streamed a chunk that is not a JSON object", self.name)
                else:
                    text, event = message
                    yield str(event.get("type") or ""), text, event


def _message(encoded: Any) -> tuple[str, dict[str, Any]] | None:
    """Return the text and the JSON of one chunk, ``None`` if there are none."""
    try:
        text = base64.b64decode(encoded).decode()
        data = json.loads(text)
    except (TypeError, ValueError, binascii.Error, RecursionError):
        return None
    return (text, data) if isinstance(data, dict) else None


def _without_profile(model: str) -> str:
    """Return the model of an inference profile: tokens are counted without one."""
    prefix, dot, rest = model.partition(".")
    return rest if dot and "." in rest and not prefix.startswith("anthropic") else model
