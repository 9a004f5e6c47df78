"""POST /v1beta/models/{model}:embedContent and :batchEmbedContents.

Format: https://ai.google.dev/api/embeddings
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any, Self

from optimizer.api.compat.extensions import read_request_options, within_header
from optimizer.api.compat.response_headers import cost_headers
from optimizer.api.gemini.generate import GeminiEndpoint
from optimizer.api.gemini.paths import model_of
from optimizer.api.gemini.request_reader.fields import ProtoReader
from optimizer.api.http.body_reader import BodyReader
from optimizer.api.http.endpoint import ApiRequest, JsonReply
from optimizer.domain.options import RequestOptions
from optimizer.domain.request_bounds import RESIDENCY_HEADER
from optimizer.gateway.specialised.embeddings import EmbeddingService
from optimizer.wiring.services import Services
from providers.embedding import is_large_answer

_MOST_TEXTS = 2048


class EmbedEndpoint(GeminiEndpoint):
    """Answers ``:embedContent`` with the vector of one content."""

    name = "embeddings"

    def __init__(self, embedding: EmbeddingService) -> None:
        self._embedding = embedding

    @classmethod
    def of(cls, services: Services) -> Self:
        """Build the endpoint with what it needs of ``services``."""
        return cls(services.embedding)

    async def answer(self, api_request: ApiRequest) -> JsonReply:
        """Return the vectors, with the cost in the headers."""
        read = partial(self._read, api_request)
        body, options = await asyncio.to_thread(read) if api_request.large else read()
        options = within_header(options, api_request.header(RESIDENCY_HEADER))
        answer, result = await self._embedding.embed(
            model_of(api_request.path), body, options, api_request.request_id, api_request.client
        )
        vectors = [{"values": item["embedding"]} for item in answer["data"]]
        headers = cost_headers(result)
        return JsonReply(self.written(vectors), headers=headers, large=is_large_answer(answer))

    def _read(self, api_request: ApiRequest) -> tuple[dict[str, Any], RequestOptions]:
        fields = ProtoReader(api_request.data)
        options = read_request_options(
            BodyReader(api_request.data), api_request.header("cache-control")
        )
        return self.read(fields), options

    def read(self, fields: ProtoReader) -> dict[str, Any]:
        """Return the body for a provider of embeddings."""
        return {"input": [_text_of(fields)], **_options(fields)}

    def written(self, vectors: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the answer's body."""
        return {"embedding": vectors[0]}


class BatchEmbedEndpoint(EmbedEndpoint):
    """Answers ``:batchEmbedContents`` with the vectors of several contents."""

    def read(self, fields: ProtoReader) -> dict[str, Any]:
        """Return the body for a provider of embeddings."""
        requests = list(fields.objects("requests"))
        if not 1 <= len(requests) <= _MOST_TEXTS:
            raise fields.error("requests", f"must have 1 to {_MOST_TEXTS} items.")
        return {"input": [_text_of(one) for one in requests], **_options(requests[0])}

    def written(self, vectors: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the answer's body."""
        return {"embeddings": vectors}


def _options(fields: ProtoReader) -> dict[str, Any]:
    config = fields.part("embedContentConfig") or fields
    dimensions = config.whole("outputDimensionality")
    return {} if dimensions is None else {"dimensions": dimensions}


def _text_of(fields: ProtoReader) -> str:
    content = fields.object("content")
    text = "\n".join(_texts(content)) if content is not None else ""
    if not text:
        raise fields.error("content", "must have a part with text.")
    return text


def _texts(content: ProtoReader) -> Iterator[str]:
    for part in content.objects("parts"):
        if part.unread() != ["text"]:
            raise part.error("text", "only parts with text can be embedded here.")
        yield part.text("text")
