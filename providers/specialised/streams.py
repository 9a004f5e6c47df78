"""Streams of specialised models as circuits see them: one that breaks off is a failure."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from providers.attempts import internal_error
from providers.errors import ProviderError
from providers.request_circuits import RequestCircuits
from providers.specialised.requests import SpecialisedStream
from providers.values import changed


def with_errors_counted(stream: SpecialisedStream, circuits: RequestCircuits) -> SpecialisedStream:
    """Return ``stream``, whose error counts although the request was counted as answered."""
    return changed(stream, pieces=_pieces(stream.provider, stream.pieces, circuits))


async def _pieces(
    provider: str, pieces: AsyncGenerator[bytes, None], circuits: RequestCircuits
) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece
    except ProviderError as error:
        circuits.broke_off(provider, error)
        raise
    except Exception as error:
        raise internal_error(provider, error) from error
