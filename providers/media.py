"""What the first bytes of base64 say that they are, whatever a request calls them.

Images have a known largest size in tokens, and each token of a text has a byte at least. A
provider that looks at the bytes charges for what they are, so a name alone bounds nothing.
"""

from __future__ import annotations

import base64
import binascii
import re

_FIRST = 64
"""Characters of base64 that are read; 48 bytes hold every signature."""
_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
_IMAGE_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif")
_BINARY = (
    b"%PDF", b"PK\x03\x04", b"\x1f\x8b", b"RIFF", b"ID3", b"OggS", b"fLaC", b"\x1aE\xdf\xa3",
    b"\xd0\xcf\x11\xe0", b"FORM", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ", b"{\\rtf",
)  # fmt: skip
_TYPES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"%PDF": "application/pdf",
}
_TYPES_OF_BRANDS = {b"heic": "image/heic", b"heix": "image/heic", b"avif": "image/avif"}
# Names that no provider takes, though clients use them.
_USUAL_NAMES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "application/x-pdf": "application/pdf",
}
_DATA_URL = re.compile(r"\s*data:\s*([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
_LEAST_RATE = 1_000
_PLAIN_WAV = (1, 3)
"""Whole numbers and floating point, as ``WAVE_FORMAT_PCM`` and ``WAVE_FORMAT_IEEE_FLOAT``."""


def is_image(data: str) -> bool:
    """Return whether base64 ``data`` begins like an image that providers accept."""
    first = _first_bytes(data)
    if first.startswith(_IMAGES):
        return True
    if first[4:8] == b"ftyp":
        return first[8:12] in _IMAGE_BRANDS
    return first.startswith(b"RIFF") and first[8:12] == b"WEBP"


def is_text(data: str) -> bool:
    """Return whether base64 ``data`` begins like text that nothing compresses."""
    first = _first_bytes(data)
    return not (first.startswith(_BINARY) or first[4:8] == b"ftyp" or b"\0" in first)


def is_sound(data: str) -> bool:
    """Return whether base64 ``data`` begins like sound with :data:`_LEAST_RATE` bytes a second.

    That is MP3, or WAV that is not compressed. In other formats, hours of silence have a few
    bytes. Providers count 32 tokens a second at most (https://ai.google.dev/gemini-api/docs/audio).
    """
    first = _first_bytes(data)
    if first.startswith(b"ID3") and len(first) >= 10:
        # Seven bits of each byte are the size (https://id3.org/id3v2.4.0-structure).
        size = 10 + sum((byte & 0x7F) << 7 * (3 - place) for place, byte in enumerate(first[6:10]))
        first = _first_bytes(data[size // 3 * 4 :])[size % 3 :]
    if first.startswith(b"RIFF") and first[8:16] == b"WAVEfmt ":
        kind, channels = (int.from_bytes(first[at : at + 2], "little") for at in (20, 22))
        rate, bits = int.from_bytes(first[24:28], "little"), int.from_bytes(first[34:36], "little")
        return kind in _PLAIN_WAV and rate * channels * bits // 8 >= _LEAST_RATE
    if len(first) < 4 or first[0] != 0xFF or first[1] & 0xE6 != 0xE2:
        return False
    # A frame of MP3 names its bit rate, 8 kbit/s at least, unless it has a rate of its own.
    return first[2] >> 4 not in (0, 15) and first[2] >> 2 & 3 != 3


def of_data_url(url: str) -> tuple[str, str]:
    """Return the media type and the base64 data of a ``data:`` URL; both empty for another.

    The type is empty if the URL does not say it. Its words may be of either case and have spaces
    around them: https://datatracker.ietf.org/doc/html/rfc2397
    """
    match = _DATA_URL.match(url, 0, 1_000)
    if match is None or match[2].rpartition(";")[2].strip().lower() != "base64":
        return "", ""
    return match[1].strip().lower(), url[match.end() :]


def media_type_of(data: str, named: str) -> str:
    """Return the media type of base64 ``data``: what its bytes are, else as it is ``named``.

    Providers refuse images whose bytes are of another type than their name:
    https://github.com/vybestack/llxprt-code/issues/2130
    """
    first = _first_bytes(data)
    for beginning, media_type in _TYPES.items():
        if first.startswith(beginning):
            return media_type
    if first.startswith(b"RIFF") and first[8:12] == b"WEBP":
        return "image/webp"
    if first[4:8] == b"ftyp" and first[8:12] in _TYPES_OF_BRANDS:
        return _TYPES_OF_BRANDS[first[8:12]]
    named = named.partition(";")[0].strip().lower()
    return _USUAL_NAMES.get(named, named)


def _first_bytes(data: str) -> bytes:
    text = "".join(data[: 2 * _FIRST].split())[:_FIRST].translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(text[: len(text) // 4 * 4])
    except (ValueError, binascii.Error):
        return b"\0"
