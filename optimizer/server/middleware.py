"""Middleware: a request id for all, and Django's own for the admin alone.

Django's stock middleware is synchronous: each costs an asynchronous request a
hop to a thread and back. API requests need none of them, so the classes below
let those pass straight through.
"""

from __future__ import annotations

from typing import Any

from asgiref.sync import markcoroutinefunction
from axes.middleware import AxesMiddleware
from csp.middleware import CSPMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware

from optimizer.domain.request_ids import new_request_id
from optimizer.monitoring.request_context import working_on

ADMIN_PATH = "/admin"


class RequestId:
    """Gives each request an id, in ``request.request_id`` and the ``X-Request-ID`` header."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = request.request_id = new_request_id()  # type: ignore[attr-defined]
        with working_on(request_id, request.headers.get("traceparent", "")):
            response = await self.get_response(request)
        response["X-Request-ID"] = str(request_id)
        return response


class Security(SecurityMiddleware):
    """For all requests, on the event loop: it only reads and sets headers."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        redirect = self.process_request(request)
        if redirect is not None:
            return redirect
        response: HttpResponse = await self.get_response(request)  # type: ignore[misc]
        return self.process_response(request, response)


class AdminOnly:
    """Mixed into a stock middleware: requests outside the admin skip it."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(ADMIN_PATH):
            return await super().__acall__(request)  # type: ignore[misc]
        return await self.get_response(request)  # type: ignore[attr-defined]


class Sessions(AdminOnly, SessionMiddleware):
    pass


class Authentication(AdminOnly, AuthenticationMiddleware):
    pass


class Messages(AdminOnly, MessageMiddleware):
    pass


class Frames(AdminOnly, XFrameOptionsMiddleware):
    pass


class ContentPolicy(AdminOnly, CSPMiddleware):
    pass


class LoginLimit(AdminOnly, AxesMiddleware):
    pass


class Common(AdminOnly, CommonMiddleware):
    pass


class Csrf(AdminOnly, CsrfViewMiddleware):
    """The JSON endpoints know no cookies, so there is nothing to forge there."""

    def process_view(
        self, request: HttpRequest, callback: Any, callback_args: Any, callback_kwargs: Any
    ) -> Any:
        if not request.path.startswith(ADMIN_PATH):
            return None
        return super().process_view(request, callback, callback_args, callback_kwargs)
