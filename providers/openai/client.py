"""Client of OpenAI's chat completions API, for OpenAI and every server that is compatible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from providers import features
from providers.completion import Completion, CompletionRequest, complete_embedded_usage
from providers.embedding import Embeddings
from providers.errors import ContentBlocked, EmptyCompletion, InsufficientCredit, ProviderError
from providers.http.streaming import StreamReader
from providers.http.wire import WireClient
from providers.openai import completions
from providers.openai.answer import read_completion
from providers.openai.dialect import OPENAI_OWN, SERVER
from providers.openai.repair import repair_completion
from providers.openai.request import openai_payload
from providers.openai.responses_answer import WIRE as RESPONSES_WIRE
from providers.openai.responses_answer import read_response
from providers.openai.responses_request import responses_payload
from providers.openai.responses_stream import ResponsesStream
from providers.openai.stream import OpenAIStream
from providers.usage import read_usage


class OpenAIProvider(WireClient):
    """A server with OpenAI's API: ``POST {base_url}/chat/completions``.

    ``dialect`` is what it accepts beside what all such servers do.
    """

    wire = "openai"
    wires = frozenset({"openai", completions.WIRE})
    features = features.OPENAI
    dialect = SERVER

    def relays(self, request: CompletionRequest) -> bool:
        """Return whether the request goes out on its own wire.

        Freeform tools become functions on a server without them, if we chose the model.
        """
        chat = request.chat
        if chat.source is None or chat.source.wire not in self.wires:
            return False
        if chat.source.wire == completions.WIRE:
            return completions.has_completions(request, self.features)
        if not chat.tools or not chat.chosen or chat.native:
            return True
        freeform = any(tool.freeform for tool in chat.tools)
        return not freeform or features.FREEFORM_TOOLS in self.features

    def _relays_completion(self, request: CompletionRequest) -> bool:
        """Return whether the request goes out on the older API of completions."""
        source = request.chat.source
        return source is not None and source.wire == completions.WIRE and self.relays(request)

    async def embed(self, model: str, body: Mapping[str, Any]) -> Embeddings:
        """Call ``POST {base_url}/embeddings``. Raises :class:`ProviderError`."""
        answer = await self.post("/embeddings", {**body, "model": model}, self.key_headers())
        with self._reading():
            if not answer["data"]:
                raise EmptyCompletion(self.name, "returned no embeddings")
            usage = complete_embedded_usage(read_usage(answer), body)
        return Embeddings(self.name, model, answer, usage)

    def _path(self, request: CompletionRequest, *, stream: bool) -> str:
        return completions.PATH if self._relays_completion(request) else "/chat/completions"

    def _headers(self, request: CompletionRequest) -> Mapping[str, str]:
        return self.key_headers()

    def key_headers(self) -> Mapping[str, str]:
        """Return the header with the API key, or nothing if there is no key."""
        return {"authorization": f"Bearer {self._api_key}"} if self._api_key else {}

    def _payload(self, request: CompletionRequest) -> dict[str, Any]:
        if self._relays_completion(request):
            return completions.completions_payload(request)
        return openai_payload(
            request,
            dialect=self.dialect,
            has=self.features,
            provider=self.name,
            relayed=self.relays(request),
        )

    def _stream_fields(self, request: CompletionRequest) -> Mapping[str, Any]:
        source = request.chat.source
        own = source.body.get("stream_options") if source and self.relays(request) else None
        options = own if isinstance(own, dict) else {}
        return {"stream": True, "stream_options": {**options, "include_usage": True}}

    def _repair(self, request: CompletionRequest, body: dict[str, Any]) -> bool:
        return False if self._relays_completion(request) else repair_completion(body)

    def _parse(self, request: CompletionRequest, body: dict[str, Any]) -> Completion:
        if self._relays_completion(request):
            body = completions.as_chat(body, "message")
            repair_completion(body)
        return read_completion(self.name, request, body, relayed=self.relays(request))

    def _reader(self, request: CompletionRequest) -> StreamReader:
        if self._relays_completion(request):
            return completions.CompletionsStream(self.name, request)
        return OpenAIStream(self.name, request, relayed=self.relays(request))

    def _error(self, response: httpx.Response, raw: bytes) -> ProviderError:
        # An account without credit also gets a 429, but waiting does not help.
        if response.status_code == 429 and b'"insufficient_quota"' in raw:
            return InsufficientCredit(
                self.name, "reports that the account has no credit left (HTTP 429)", status=429
            )
        if response.status_code == 400 and b'"content_policy_violation"' in raw:
            return ContentBlocked(self.name, "blocked the prompt (HTTP 400)", status=400)
        return super()._error(response, raw)


class OpenAIOwnProvider(OpenAIProvider):
    """OpenAI's own API, whose reasoning models reject ``max_tokens``.

    Requests of the Responses API are passed on as such: ``POST {base_url}/responses``.
    """

    wires = OpenAIProvider.wires | {RESPONSES_WIRE}
    dialect = OPENAI_OWN
    features = features.OPENAI_OWN | {f"the {RESPONSES_WIRE} API"}

    def _path(self, request: CompletionRequest, *, stream: bool) -> str:
        return "/responses" if _is_response(request) else super()._path(request, stream=stream)

    def _payload(self, request: CompletionRequest) -> dict[str, Any]:
        return responses_payload(request) if _is_response(request) else super()._payload(request)

    def _stream_fields(self, request: CompletionRequest) -> Mapping[str, Any]:
        if _is_response(request):
            return {"stream": True}
        return super()._stream_fields(request)

    def _repair(self, request: CompletionRequest, body: dict[str, Any]) -> bool:
        return False if _is_response(request) else super()._repair(request, body)

    def _parse(self, request: CompletionRequest, body: dict[str, Any]) -> Completion:
        if _is_response(request):
            return read_response(self.name, request, body)
        return super()._parse(request, body)

    def _reader(self, request: CompletionRequest) -> StreamReader:
        return ResponsesStream(self.name) if _is_response(request) else super()._reader(request)


def _is_response(request: CompletionRequest) -> bool:
    source = request.chat.source
    return source is not None and source.wire == RESPONSES_WIRE
