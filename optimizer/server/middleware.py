"""Middleware: a request id for all requests, and Django's own middleware for the admin only.

Django's own middleware is synchronous: each one moves an asynchronous request to a thread and
back. API requests need none of it, so the classes below let them pass unchanged.
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

from optimizer.domain.identifiers import new_request_id
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
        """Set the id, and return the response with its header."""
        request_id = request.request_id = new_request_id()  # type: ignore[attr-defined]
        with working_on(request_id, request.headers.get("traceparent", "")):
            response = await self.get_response(request)
        response["X-Request-ID"] = str(request_id)
        return response


class Security(SecurityMiddleware):
    """Adds Django's security headers to all responses, on the event loop without a thread."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        redirect = self.process_request(request)
        if redirect is not None:
            return redirect
        response: HttpResponse = await self.get_response(request)  # type: ignore[misc]
        return self.process_response(request, response)


class AdminOnly:
    """A mixin for a middleware that requests outside the admin skip."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(ADMIN_PATH):
            return await super().__acall__(request)  # type: ignore[misc]
        return await self.get_response(request)  # type: ignore[attr-defined]


class Sessions(AdminOnly, SessionMiddleware):
    """Keeps the sessions of the admin."""


class Authentication(AdminOnly, AuthenticationMiddleware):
    """Sets the user of an admin request."""


class Messages(AdminOnly, MessageMiddleware):
    """Shows messages in the admin."""


class Frames(AdminOnly, XFrameOptionsMiddleware):
    """Forbids other sites to show the admin in a frame."""


class ContentPolicy(AdminOnly, CSPMiddleware):
    """Adds the content security policy to admin pages."""


class LoginLimit(AdminOnly, AxesMiddleware):
    """Limits failed logins to the admin."""


class Common(AdminOnly, CommonMiddleware):
    """Adds missing slashes to the URLs of the admin."""


class Csrf(AdminOnly, CsrfViewMiddleware):
    """Protects the admin against forged requests; the JSON endpoints use no cookies."""

    def process_view(
        self, request: HttpRequest, callback: Any, callback_args: Any, callback_kwargs: Any
    ) -> Any:
        """Check the token of an admin request; return ``None`` to go on."""
        if not request.path.startswith(ADMIN_PATH):
            return None
        return super().process_view(request, callback, callback_args, callback_kwargs)
