"""Azure: OpenAI's API and Anthropic's, for deployments of models, with a key or Entra ID.

https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle (the API "v1", and dated
versions before it), https://learn.microsoft.com/azure/ai-foundry/foundry-models/how-to/use-foundry-models-claude
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx

from providers.anthropic.client import AnthropicProvider
from providers.clouds.client import CloudClient
from providers.clouds.credentials import Fetched, Renewed
from providers.clouds.deployments import read_deployments
from providers.completion import CompletionRequest
from providers.errors import ContentBlocked, ProviderError
from providers.openai.client import OpenAIOwnProvider
from providers.openai.dialect import OPENAI_OWN
from providers.specialised.requests import SpecialisedRequest

# For all of Azure's AI services: https://learn.microsoft.com/azure/ai-services/authentication
_SCOPE = "https://cognitiveservices.azure.com/.default"
PACKAGE = "azure.identity"
_ENDS = ("/openai/v1", "/openai")
# Dated versions refuse fields that are younger than they are.
_DATED = replace(OPENAI_OWN, cache_keys=False)


class _EntraClient(CloudClient):
    """A client with the names of deployments, and tokens of Entra ID where there is no key."""

    def configure(self, settings: Mapping[str, str]) -> None:
        """Take ``deployments``; without an API key, tokens are fetched."""
        self._deployments = read_deployments(settings.get("deployments", "")) or {}
        if not self._api_key:
            self.credential = Renewed(self.name, PACKAGE, _entra_token())

    def _deployment(self, model: str) -> str:
        """Return the deployment of ``model``; it has the model's name unless another is set."""
        return self._deployments.get(model, model)


class AzureProvider(_EntraClient, OpenAIOwnProvider):
    """Azure OpenAI: ``{base_url}/openai/v1/chat/completions``, or the same by deployment.

    With an ``api_version`` the deployment stands in the path of a dated version.
    """

    _version = ""

    def configure(self, settings: Mapping[str, str]) -> None:
        """Take ``api_version`` (empty for "v1") and ``deployments``."""
        super().configure(settings)
        for end in _ENDS:
            self._base_url = self._base_url.removesuffix(end)
        self._version = settings.get("api_version", "")
        if self._version in ("v1", "preview", "latest"):
            self._version = ""
        if self._version:
            self.dialect = _DATED

    def key_headers(self) -> Mapping[str, str]:
        """Return the header with the API key, or nothing with tokens of Entra ID."""
        return {} if self.credential is not None else {"api-key": self._api_key}

    def _path(self, request: CompletionRequest, wire: str | None, *, stream: bool) -> str:
        return self._place(super()._path(request, wire, stream=stream), request.model)

    def _embeddings_path(self, model: str) -> str:
        return self._place(super()._embeddings_path(model), model)

    def _place(self, path: str, model: str) -> str:
        if not self._version:
            return f"/openai/v1{path}"
        query = f"?api-version={quote(self._version, safe='')}"
        if path == "/responses":  # which has no path by deployment
            return f"/openai{path}{query}"
        return f"/openai/deployments/{quote(self._deployment(model), safe='')}{path}{query}"

    def _payload(self, request: CompletionRequest, wire: str | None) -> dict[str, Any]:
        return {**super()._payload(request, wire), "model": self._deployment(request.model)}

    def _embeddings_payload(self, model: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return super()._embeddings_payload(self._deployment(model), body)

    def _specialised_path(self, model: str, request: SpecialisedRequest) -> str:
        return self._place(super()._specialised_path(model, request), model)

    def _model_field(self, model: str) -> str:
        return self._deployment(model)

    def _error(self, status: int, headers: httpx.Headers, raw: bytes) -> ProviderError:
        # https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter
        if status == 400 and b'"content_filter"' in raw:
            return ContentBlocked(self.name, "blocked the prompt (HTTP 400)", status=400)
        return super()._error(status, headers, raw)


class AzureClaudeProvider(_EntraClient, AnthropicProvider):
    """Claude in Microsoft Foundry: ``{base_url}/v1/messages``; base_url ends in /anthropic."""

    def key_headers(self) -> Mapping[str, str]:
        """Return the headers with the API key, if there is one, and the version of the API."""
        headers = dict(super().key_headers())
        if self.credential is not None:
            del headers["x-api-key"]
        return headers

    def _payload(self, request: CompletionRequest, wire: str | None) -> dict[str, Any]:
        return {**super()._payload(request, wire), "model": self._deployment(request.model)}


def _entra_token() -> Any:
    """Return what fetches a token of the identity that this machine has, or the environment.

    The credential is made once, because it keeps tokens and knows which of its means works.
    """
    credential: Any = None

    def fetch() -> Fetched[str]:
        nonlocal credential
        if credential is None:
            from azure.identity import DefaultAzureCredential

            credential = DefaultAzureCredential()
        token = credential.get_token(_SCOPE)
        return Fetched(token.token, float(token.expires_on))

    return fetch
