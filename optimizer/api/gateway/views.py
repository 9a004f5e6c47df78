"""What the views of other APIs have in common: their errors, in the API's own shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.asynchronous import AsyncViewSet
from optimizer.api.gateway.failures import Failure, failure_of, retry_headers
from optimizer.services.asking import Ask


def request_id_of(request: Request) -> Any:
    return request._request.request_id  # type: ignore[attr-defined]


class GatewayViewSet(AsyncViewSet):
    """``ask`` is the request, once it has been read."""

    ask: Ask | None = None

    def error_body(self, failure: Failure) -> dict[str, Any]:
        raise NotImplementedError

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        def handle(error: Exception, context: dict[str, Any]) -> Response:
            failure = failure_of(error, self.ask)
            headers = retry_headers(failure.retry_after, failure.code)
            return Response(self.error_body(failure), status=failure.status, headers=headers)

        return handle

    @staticmethod
    def header(request: Request, name: str) -> str:
        return str(request._request.headers.get(name, ""))
