"""The paths of Gemini's API: ``/v1beta/models/{model}:{method}``.

A model's name may hold slashes and colons, so that the method is what follows the last colon.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs

METHODS = (
    "generateContent",
    "streamGenerateContent",
    "countTokens",
    "embedContent",
    "batchEmbedContents",
)
GEMINI_PREFIXES = ("/v1beta/", "/v1alpha/")
# The list of models is OpenAI's there, and Google's for its own clients; the methods are Gemini's.
MODEL_LIST = "/v1/models"
_SHARED = re.compile(rf"/v1/(?:models|tunedModels)/.+:(?:{'|'.join(METHODS)})")
# Some clients leave the resource out if the model's name has a slash.
_TARGET = re.compile(
    r"(?:/v1/(?=models/|tunedModels/)|/v1(?:beta|alpha)/)(?:models/|(tunedModels)/)?(.+):(\w+)",
    re.DOTALL,
)


def is_gemini(path: str) -> bool:
    """Return whether ``path`` belongs to Gemini's API."""
    return path.startswith(GEMINI_PREFIXES) or (":" in path and _SHARED.fullmatch(path) is not None)


def method_of(path: str) -> str:
    """Return the method that ``path`` calls, with its colon; empty if it calls none."""
    match = _TARGET.fullmatch(path)
    return f":{match[3]}" if match else ""


def model_of(path: str) -> str:
    """Return the model's name in ``path``, without the resource that it stands under."""
    match = _TARGET.fullmatch(path)
    if match is None:
        return ""
    name = match[2].removeprefix("models/").removeprefix("publishers/google/models/")
    return f"tunedModels/{name}" if match[1] else name


def wants_events(query: str) -> bool:
    """Return whether a stream is to be of server-sent events, and not one JSON array."""
    return parse_qs(query).get("alt", [""])[-1].lower() == "sse"
