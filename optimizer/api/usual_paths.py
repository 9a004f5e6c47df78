"""The usual spelling of an API's path, which clients build from a base URL that is a bit off.

A base URL that ends in a slash, holds the version or lacks it gives ``//v1/messages``,
``/v1/v1/messages`` or ``/chat/completions`` (https://github.com/FerroxLabs/wayland/issues/1217).
One in which only the host was changed keeps the provider's own prefix: OpenRouter's ``/api``,
Groq's and Azure's ``/openai``, ``/anthropic`` of servers with several APIs.
"""

from __future__ import annotations

import re

from optimizer.api.endpoints import ENDPOINTS
from optimizer.api.gemini.paths import MODEL_LIST, is_gemini

_SLASHES = re.compile(r"/{2,}")
_VERSIONS = re.compile(r"^(?:/v\d(?:alpha|beta)?)+(?=/v\d(?:alpha|beta)?/)")
_PREFIX = re.compile(r"^/(?:api|openai|anthropic|gemini)(?=/v\d)")
# Clients choose the ids of their sessions, also with slashes.
_WITH_OWN_IDS = "/v1/sessions/"
_VERSION = re.compile(r"^/v\d(?:alpha|beta)?/")


def usual_path(path: str) -> str:
    """Return the spelling of ``path`` that the APIs of providers have, if it is one of theirs."""
    if path.startswith(_WITH_OWN_IDS):
        return path
    plain = _SLASHES.sub("/", path)
    plain = plain.removesuffix("/") or "/"
    plain = _VERSIONS.sub("", plain)
    if _VERSION.match(plain):
        return plain
    if plain in ENDPOINTS:
        return path  # our own API
    for other in (f"/v1{plain}", _VERSIONS.sub("", _PREFIX.sub("", plain))):
        if other in ENDPOINTS or other == MODEL_LIST or is_gemini(other):
            return other
    return path
