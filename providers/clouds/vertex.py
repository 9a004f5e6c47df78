"""Google Vertex AI: Gemini's API and Anthropic's, for a project, in a location.

https://docs.cloud.google.com/vertex-ai/generative-ai/docs/learn/locations and
https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC
from typing import Any
from urllib.parse import quote

import httpx

from providers.clouds.claude import EnvelopedClaude
from providers.clouds.client import CloudClient
from providers.clouds.credentials import Fetched, Renewed
from providers.completion import CompletionRequest
from providers.errors import ProviderError
from providers.gemini.client import GeminiProvider

ANYWHERE = "global"
PACKAGE = "google.auth"
_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
# Jurisdictions with an address of their own, each of several regions.
_JURISDICTIONS = ("us", "eu")
# Google writes the date of a snapshot of Claude after an @.
_SNAPSHOT = re.compile(r"-(20\d{6})$")


class _VertexClient(CloudClient):
    """A client with a project and a location, and tokens of Google's."""

    _project = ""
    _location = ANYWHERE

    def configure(self, settings: Mapping[str, str]) -> None:
        """Take ``project`` and ``location`` (default: global)."""
        self._project = settings.get("project", "")
        self._location = settings.get("location", "") or ANYWHERE
        if not self._base_url:
            self._base_url = _address(self._location)
        self.credential = Renewed(self.name, PACKAGE, _google_token())

    def _models(self, publisher: str) -> str:
        project, location = quote(self._project, safe=""), quote(self._location, safe="")
        return f"/v1/projects/{project}/locations/{location}/publishers/{publisher}/models"


class VertexProvider(_VertexClient, GeminiProvider):
    """Gemini on Vertex AI: ``…/publishers/google/models/{model}:generateContent``."""

    def _model_path(self, model: str) -> str:
        return f"{self._models('google')}/{quote(model, safe='')}"

    def _headers(self, request: CompletionRequest) -> Mapping[str, str]:
        return {}

    def _payload(self, request: CompletionRequest, wire: str | None) -> dict[str, Any]:
        body = super()._payload(request, wire)
        contents = body.get("contents")
        if isinstance(contents, list) and not all(map(_has_role, contents)):
            # Unlike Gemini's own API, this one requires the role of each turn.
            body["contents"] = [c if _has_role(c) else {**c, "role": "user"} for c in contents]
        return body

    def _counted(self, payload: dict[str, Any], model: str) -> dict[str, Any]:
        return payload


class VertexClaudeProvider(EnvelopedClaude, _VertexClient):
    """Claude on Vertex AI: ``…/publishers/anthropic/models/{model}:rawPredict``."""

    version = "vertex-2023-10-16"

    async def count_tokens(self, request: CompletionRequest) -> int:
        """Return the provider's own count of input tokens. Raises :class:`ProviderError`."""
        payload = {**self._counted(request), "model": _snapshot(request.model)}
        path = f"{self._models('anthropic')}/count-tokens:rawPredict"
        body = await self.post(path, payload, self._headers(request), large=request.chat.large)
        with self._reading:
            return int(body["input_tokens"])

    def _path(self, request: CompletionRequest, wire: str | None, *, stream: bool) -> str:
        method = "streamRawPredict" if stream else "rawPredict"
        model = quote(_snapshot(request.model), safe="@")
        return f"{self._models('anthropic')}/{model}:{method}"

    def _headers(self, request: CompletionRequest) -> Mapping[str, str]:
        betas = self.betas(request.chat)
        return {"anthropic-beta": ",".join(betas)} if betas else {}

    def _error(self, status: int, headers: httpx.Headers, raw: bytes) -> ProviderError:
        return self._error_of_wire(super()._error(status, headers, raw))


def _address(location: str) -> str:
    if location == ANYWHERE:
        return "https://aiplatform.googleapis.com"
    if location in _JURISDICTIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def _snapshot(model: str) -> str:
    return _SNAPSHOT.sub(r"@\1", model)


def _has_role(content: Any) -> bool:
    return not isinstance(content, Mapping) or bool(content.get("role"))


def _google_token() -> Any:
    """Return what fetches a token: of a service account's file, or of what the machine has.

    https://cloud.google.com/docs/authentication/application-default-credentials
    """
    credentials: Any = None

    def fetch() -> Fetched[str]:
        nonlocal credentials
        import google.auth
        from google.auth.transport.requests import Request

        if credentials is None:
            credentials, _ = google.auth.default(scopes=_SCOPES)
        credentials.refresh(Request())
        expiry = credentials.expiry
        ends = time.time() + 600 if expiry is None else expiry.replace(tzinfo=UTC).timestamp()
        return Fetched(credentials.token, ends)

    return fetch
