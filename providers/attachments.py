"""What a request attaches as base64: an image, a document, or a text, by what its bytes are.

Clients name bytes as they like: every screenshot a PNG, a PDF as an image
(https://github.com/BerriAI/litellm/pull/39977), a CSV file as a document, which Anthropic
takes as text alone (https://github.com/langchain-ai/langchain/issues/37576).
"""

from __future__ import annotations

import base64
import binascii
import mimetypes

from providers.chat import CacheMark, File, Image
from providers.media import media_type_of

_URL_SAFE = str.maketrans("-_", "+/")
_TEXTS = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/sql",
        "application/toml",
        "application/x-sh",
        "application/x-yaml",
        "application/xml",
        "application/yaml",
    }
)


def attached(
    named: str, data: str, *, name: str = "", detail: str = "", cache: CacheMark | None = None
) -> Image | File:
    """Return base64 ``data``, which the client calls ``named`` (a MIME type), as what it is.

    ``name`` is the file's; ``detail`` is how closely to look at an image.
    """
    data = plain_base64(data)
    media_type = media_type_of(data, named)
    if media_type.startswith("image/"):
        return Image(media_type, data, detail=detail, cache=cache)
    if media_type.startswith("text/") or media_type in _TEXTS:
        text = _decoded(data)
        if text:
            return File("text/plain", text=text, name=name, cache=cache)
    return File(media_type, data, name=name, cache=cache)


def type_of_file(named: str, name: str, guessed: str = "") -> str:
    """Return the media type of a file: as it is ``named``, else by its ``name``, else PDF's."""
    if named and named != "application/octet-stream":
        return named
    return guessed or mimetypes.guess_type(name)[0] or "application/pdf"


def plain_base64(data: str) -> str:
    """Return base64 in the alphabet, the padding and the one line that all providers take.

    Google's SDK for Python writes the alphabet for URLs, mail programs break lines:
    https://github.com/google/adk-python/issues/825
    """
    if "-" in data or "_" in data:
        data = data.translate(_URL_SAFE)
    if "\n" in data or " " in data or "\r" in data:
        data = "".join(data.split())
    return data + "=" * (-len(data) % 4)


def _decoded(data: str) -> str:
    """Return base64 as text, empty if it is none."""
    try:
        return base64.b64decode(data).decode("utf-8-sig")
    except (ValueError, binascii.Error):
        return ""
