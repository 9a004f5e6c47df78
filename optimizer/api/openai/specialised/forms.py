"""Reads forms with files (multipart/form-data), whole and in memory.

The body has a limit of its own before it comes here, so nothing is written to a disk.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import HttpResponseBase
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from optimizer.api.http.body_reader import CompressedBody, InvalidField
from optimizer.api.http.views import EndpointViewSet
from providers.specialised.requests import Upload
from providers.storable import storable_text

_LONGEST_NAME = 255
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)


class Form(dict[str, Any]):
    """The fields of a form by name; one that was sent several times is a list.

    ``uploads`` are its files.
    """

    uploads: tuple[Upload, ...] = ()


class _InMemory(MemoryFileUploadHandler):
    """Keeps each file in memory, whatever its size."""

    def handle_raw_input(self, *args: Any, **kwargs: Any) -> None:
        """Be active for every request."""
        self.activated = True


class FormParser(BaseParser):
    """Reads a form for DRF; what cannot be read is the client's error."""

    media_type = "multipart/form-data"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Form:
        """Return the form. Raises :class:`rest_framework.exceptions.ParseError`."""
        request = parser_context["request"]
        encoding = request.headers.get("content-encoding", "identity")
        if encoding.strip().lower() not in {"", "identity"}:
            raise CompressedBody
        meta = {**request.META, "CONTENT_TYPE": media_type}
        handlers = [_InMemory()]
        try:
            fields, files = MultiPartParser(meta, stream, handlers, "utf-8").parse()
        except (
            MultiPartParserError, RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent,
            UnicodeError, ValueError,
        ) as error:  # fmt: skip
            raise ParseError(f"The form cannot be read: {error}") from None
        form = Form()
        for name, values in fields.lists():
            form[name] = values[0] if len(values) == 1 else values
        form.uploads = tuple(
            Upload(name, storable_text(file.name or "file")[:_LONGEST_NAME],
                   _media_type(file.content_type), file.read())
            for name, sent in files.lists()
            for file in sent
        )  # fmt: skip
        return form


def _media_type(named: str | None) -> str:
    """Return the media type of a file; one with other characters could add lines to a form."""
    return named if named and _MEDIA_TYPE.fullmatch(named) else "application/octet-stream"


class FormViewSet(EndpointViewSet):
    """Serves an endpoint whose requests are forms; they are read on a thread."""

    parser_classes = [FormParser]

    async def serve(self, request: Request) -> HttpResponseBase:
        """Return the endpoint's reply as a Django response."""
        await asyncio.to_thread(getattr, request, "data")
        return await super().serve(request)


def form_options(form: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with the extension ``optimizer``, which a form has as JSON.

    Raises :class:`optimizer.api.http.body_reader.InvalidField`.
    """
    fields = dict(form)
    if "optimizer" in fields:
        try:
            fields["optimizer"] = json.loads(fields["optimizer"])
        except (TypeError, ValueError, RecursionError):
            raise InvalidField("optimizer", "optimizer: must be a JSON object.") from None
    return fields
