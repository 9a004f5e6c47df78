"""Streams of specialised models: one that fails at once is no answer, and another model's is taken.

Circuits count one that breaks off later as a failure.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from providers.attempts import internal_error
from providers.errors import EmptyCompletion, ProviderError
from providers.request_circuits import RequestCircuits
from providers.specialised.requests import SpecialisedStream
from providers.values import changed


async def opened(stream: SpecialisedStream, broken: list[ProviderError]) -> SpecialisedStream:
    """Return ``stream`` once its first piece has arrived.

    Raises :class:`providers.errors.ProviderError` if none does, and adds it to ``broken``: the
    provider accepted the request, and may charge for it.
    """
    pieces = stream.pieces
    try:
        first = await anext(pieces, None)
        if first is None:
            raise EmptyCompletion(stream.provider, "streamed nothing")
    except BaseException as error:
        await pieces.aclose()
        await stream.close()
        if isinstance(error, ProviderError):
            error.maybe_charged = True
            broken.append(error)
        raise

    async def close() -> None:
        await pieces.aclose()
        await stream.close()

    return changed(stream, pieces=_from(first, pieces), close=close)


async def _from(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


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
