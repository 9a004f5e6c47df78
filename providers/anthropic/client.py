"""Client of the Anthropic Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers import features
from providers.anthropic.abilities import abilities
from providers.anthropic.answer import MessageCallNames, mend_message, read_message
from providers.anthropic.request import WIRE, anthropic_payload
from providers.anthropic.stream import AnthropicStream
from providers.chat import Chat
from providers.completion import Completion, CompletionRequest
from providers.effort_levels import NO_EFFORTS, Efforts
from providers.http.wire import WireClient

_VERSION = "2023-06-01"
_NOT_COUNTED = ("max_tokens", "metadata", "stop_sequences", "temperature", "top_k", "top_p")


class AnthropicProvider(WireClient):
    """Anthropic's API: ``POST {base_url}/v1/messages``."""

    wire = WIRE
    features = features.ANTHROPIC
    _streamed = {"stream": True}

    def efforts(self, model: str, lacks: frozenset[str] = frozenset()) -> Efforts:
        """Return the efforts of reasoning that ``model`` takes."""
        return NO_EFFORTS if features.REASONING in lacks else abilities(model, lacks).all_efforts

    async def count_tokens(self, request: CompletionRequest) -> int:
        """Return the provider's own count of input tokens. Raises :class:`ProviderError`."""
        payload, headers = self._counted(request), self._headers(request)
        path = "/v1/messages/count_tokens"
        body = await self.post(path, payload, headers, large=request.chat.large)
        with self._reading:
            return int(body["input_tokens"])

    def _counted(self, request: CompletionRequest) -> dict[str, Any]:
        """Return the body whose input is to be counted."""
        wire = self.own_wire(request)
        payload = self._payload(request, wire)
        if wire is not None:
            assert request.chat.source is not None
            if "max_tokens" not in request.chat.source.body:
                payload.pop("max_tokens", None)
        else:
            for field in _NOT_COUNTED:
                payload.pop(field, None)
        return payload

    def _path(self, request: CompletionRequest, wire: str | None, *, stream: bool) -> str:
        return "/v1/messages"

    def _headers(self, request: CompletionRequest) -> Mapping[str, str]:
        return {**self.key_headers(), **asked_headers(request.chat)}

    def key_headers(self) -> Mapping[str, str]:
        """Return the headers with the API key and the version of the API."""
        return {"x-api-key": self._api_key, "anthropic-version": _VERSION}

    def _payload(self, request: CompletionRequest, wire: str | None) -> dict[str, Any]:
        return anthropic_payload(request, self.name)

    def _parse(
        self, request: CompletionRequest, wire: str | None, body: dict[str, Any]
    ) -> Completion:
        return read_message(self.name, request, body, _call_names(request, wire))

    def _repair(self, wire: str | None, body: dict[str, Any]) -> bool:
        return mend_message(body)

    def _reader(self, request: CompletionRequest, wire: str | None) -> AnthropicStream:
        return AnthropicStream(self.name, _call_names(request, wire))


def _call_names(request: CompletionRequest, wire: str | None) -> MessageCallNames:
    return MessageCallNames(request if wire is None else None)


def asked_headers(chat: Chat) -> Mapping[str, str]:
    """Return the headers ``anthropic-…`` of the client's own request, if it used this wire."""
    if chat.source is None or chat.source.wire != WIRE:
        return {}
    return {k: v for k, v in chat.source.headers.items() if k.startswith("anthropic-")}
