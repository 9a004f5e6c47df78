"""Client of OpenAI's chat completions API, for OpenAI and every server that is compatible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from providers import features
from providers.completion import Completion, CompletionRequest
from providers.effort_levels import NO_EFFORTS, Efforts
from providers.embedding import Embeddings, is_large_input
from providers.errors import ContentBlocked, EmptyCompletion, InsufficientCredit, ProviderError
from providers.http.streaming import StreamReader
from providers.openai import completions
from providers.openai.answer import read_completion
from providers.openai.dialect import OPENAI_OWN, SERVER
from providers.openai.reasoning import efforts_of_model
from providers.openai.relayed import relayed_payload
from providers.openai.repair import repair_completion
from providers.openai.request import openai_payload
from providers.openai.responses_answer import WIRE as RESPONSES_WIRE
from providers.openai.responses_answer import read_response
from providers.openai.responses_request import responses_payload
from providers.openai.responses_stream import ResponsesStream
from providers.openai.specialised import SpecialisedClient
from providers.openai.stream import OpenAIStream
from providers.usage import read_embedded_usage
from providers.usage_estimates import complete_embedded_usage


class OpenAIProvider(SpecialisedClient):
    """A server with OpenAI's API: ``POST {base_url}/chat/completions``.

    ``dialect`` is what it accepts beside what all such servers do.
    """

    wire = "openai"
    wires = frozenset({"openai", completions.WIRE})
    features = features.OPENAI
    dialect = SERVER

    def own_wire(self, request: CompletionRequest) -> str | None:
        """Return the wire on which the request goes out as it came, ``None`` to translate it.

        Freeform tools become functions on a server without them, if we chose the model. A server
        that lacks the API itself refuses fields that it does not know: it gets what we know.
        """
        wire, chat = super().own_wire(request), request.chat
        if wire is not None and f"the {wire} API" in request.lacks:
            return None
        if wire == completions.WIRE:
            return wire if completions.has_completions(request, self.features) else None
        if wire is None or not chat.tools or not chat.chosen or chat.native:
            return wire
        freeform = any(tool.freeform for tool in chat.tools)
        return None if freeform and features.FREEFORM_TOOLS not in self.features else wire

    def efforts(self, model: str, lacks: frozenset[str] = frozenset()) -> Efforts:
        """Return the efforts of reasoning that ``model`` takes."""
        if features.REASONING not in self.features - lacks:
            return NO_EFFORTS
        return efforts_of_model(model, self.dialect)

    async def embed(self, model: str, body: Mapping[str, Any]) -> Embeddings:
        """Call ``POST {base_url}/embeddings``. Raises :class:`ProviderError`."""
        payload, large = self._embeddings_payload(model, body), is_large_input(body)
        path = self._embeddings_path(model)
        answer = await self.post(path, payload, self.key_headers(), large=large)
        with self._reading:
            if not answer["data"]:
                raise EmptyCompletion(self.name, "returned no embeddings")
            usage = complete_embedded_usage(read_embedded_usage(answer), body)
        return Embeddings(self.name, model, answer, usage)

    def _embeddings_path(self, model: str) -> str:
        return "/embeddings"

    def _embeddings_payload(self, model: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**body, "model": model}

    def _path(self, request: CompletionRequest, wire: str | None, *, stream: bool) -> str:
        return completions.PATH if wire == completions.WIRE else "/chat/completions"

    def _headers(self, request: CompletionRequest) -> Mapping[str, str]:
        return self.key_headers()

    def key_headers(self) -> Mapping[str, str]:
        """Return the header with the API key, or nothing if there is no key."""
        return {"authorization": f"Bearer {self._api_key}"} if self._api_key else {}

    def _payload(self, request: CompletionRequest, wire: str | None) -> dict[str, Any]:
        if wire == completions.WIRE:
            return completions.completions_payload(request)
        write = openai_payload if wire is None else relayed_payload
        return write(request, dialect=self.dialect, has=self.features, provider=self.name)

    def _tier_fields(self, tier: str) -> Mapping[str, Any]:
        # https://developers.openai.com/api/docs/guides/flex-processing
        return {"service_tier": tier} if features.SERVICE_TIERS in self.features else {}

    def _stream_fields(self, request: CompletionRequest, wire: str | None) -> Mapping[str, Any]:
        source = request.chat.source
        own = source.body.get("stream_options") if source and wire is not None else None
        if not self.dialect.stream_options:
            return {"stream": True}
        options = own if isinstance(own, dict) else {}
        return {"stream": True, "stream_options": {**options, "include_usage": True}}

    def _repair(self, wire: str | None, body: dict[str, Any]) -> bool:
        return False if wire == completions.WIRE else repair_completion(body)

    def _parse(
        self, request: CompletionRequest, wire: str | None, body: dict[str, Any]
    ) -> Completion:
        if wire == completions.WIRE:
            body = completions.as_chat(body, "message")
            repair_completion(body)
        return read_completion(self.name, request, body, relayed=wire is not None)

    def _reader(self, request: CompletionRequest, wire: str | None) -> StreamReader:
        if wire == completions.WIRE:
            return completions.CompletionsStream(self.name, request)
        return OpenAIStream(self.name, request, relayed=wire is not None)

    def _error(self, status: int, headers: httpx.Headers, raw: bytes) -> ProviderError:
        # An account without credit also gets a 429, but waiting does not help.
        if status == 429 and b'"insufficient_quota"' in raw:
            return InsufficientCredit(
                self.name, "reports that the account has no credit left (HTTP 429)", status=429
            )
        if status == 400 and b'"content_policy_violation"' in raw:
            return ContentBlocked(self.name, "blocked the prompt (HTTP 400)", status=400)
        return super()._error(status, headers, raw)


class OpenAIOwnProvider(OpenAIProvider):
    """OpenAI's own API, whose reasoning models reject ``max_tokens``.

    Requests of the Responses API are passed on as such: ``POST {base_url}/responses``.
    """

    wires = OpenAIProvider.wires | {RESPONSES_WIRE}
    speech_events = True
    dialect = OPENAI_OWN
    features = features.OPENAI_OWN | {f"the {RESPONSES_WIRE} API"}

    def _path(self, request: CompletionRequest, wire: str | None, *, stream: bool) -> str:
        return (
            "/responses" if wire == RESPONSES_WIRE else super()._path(request, wire, stream=stream)
        )

    def _payload(self, request: CompletionRequest, wire: str | None) -> dict[str, Any]:
        return (
            responses_payload(request)
            if wire == RESPONSES_WIRE
            else super()._payload(request, wire)
        )

    def _stream_fields(self, request: CompletionRequest, wire: str | None) -> Mapping[str, Any]:
        if wire == RESPONSES_WIRE:
            return {"stream": True}
        return super()._stream_fields(request, wire)

    def _repair(self, wire: str | None, body: dict[str, Any]) -> bool:
        return False if wire == RESPONSES_WIRE else super()._repair(wire, body)

    def _parse(
        self, request: CompletionRequest, wire: str | None, body: dict[str, Any]
    ) -> Completion:
        if wire == RESPONSES_WIRE:
            return read_response(self.name, request, body)
        return super()._parse(request, wire, body)

    def _reader(self, request: CompletionRequest, wire: str | None) -> StreamReader:
        if wire == RESPONSES_WIRE:
            return ResponsesStream(self.name)
        return super()._reader(request, wire)
