"""Decompresses request bodies (gzip, deflate and zstd), bounded in size.

A small body may hold a large one (a "zip bomb"): decompression stops at the limit.
"""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import Callable

import zstandard

from optimizer.api.http.failure import Failure
from optimizer.server.errors import Scope

# Decompressing more than this takes long enough to hold up the event loop.
_LARGE_BYTES = 128 * 1024


class BodyRefused(Exception):
    """The body cannot be decompressed; ``failure`` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


async def decompressed(scope: Scope, body: bytes, header: bytes, limit: int) -> bytes:
    """Return the body without its encoding, and change the headers of ``scope`` to match.

    ``header`` is the request's ``Content-Encoding``.
    Raises :class:`BodyRefused` if the encoding is not known, the data is not valid, or the
    result has more than ``limit`` bytes.
    """
    encoding = header.decode("latin-1").strip().lower()
    if encoding == "identity":
        return body
    decompress = _DECOMPRESSORS.get(encoding)
    if decompress is None:
        known = ", ".join(sorted(_DECOMPRESSORS))
        detail = f"Content-Encoding '{encoding[:40]}' is not supported. Supported are {known}."
        raise BodyRefused(Failure.of_status(415, detail))
    try:
        if len(body) > _LARGE_BYTES:
            plain = await asyncio.to_thread(decompress, body, limit + 1)
        else:
            plain = decompress(body, limit + 1)
    except (zlib.error, zstandard.ZstdError, EOFError):
        raise BodyRefused(
            Failure.of_status(400, f"The request body is not valid {encoding}.")
        ) from None
    if len(plain) > limit:
        detail = f"The request body is larger than {limit} bytes once it is decompressed."
        raise BodyRefused(Failure.of_status(413, detail))
    scope["headers"] = [
        *(h for h in scope["headers"] if h[0] not in {b"content-encoding", b"content-length"}),
        (b"content-length", str(len(plain)).encode()),
    ]
    return plain


def _inflate(body: bytes, most: int) -> bytes:
    # 32 more than the window's size: the header says whether it is gzip or zlib.
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    plain = stream.decompress(body, most)
    if len(plain) < most and not stream.eof:
        raise EOFError
    return plain


def _deflate(body: bytes, most: int) -> bytes:
    try:
        return _inflate(body, most)
    except zlib.error:
        # Some clients send "deflate" without zlib's header.
        stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        return stream.decompress(body, most)


def _unzstd(body: bytes, most: int) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body)) as reader:
        return reader.read(most)


_DECOMPRESSORS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _inflate,
    "x-gzip": _inflate,
    "deflate": _deflate,
    "zstd": _unzstd,
}
