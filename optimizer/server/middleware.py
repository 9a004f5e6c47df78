"""Middleware: a request id for all requests, and Django's own middleware for pages only.

Django's own middleware is synchronous: each one moves an asynchronous request to a thread and
back. API requests need none of it, so the classes below let them pass unchanged.
"""

from __future__ import annotations

import re
from typing import Any

from asgiref.sync import markcoroutinefunction
from axes.middleware import AxesMiddleware
from csp.middleware import CSPMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import BadRequest
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponsePermanentRedirect,
)
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware

from optimizer.domain.identifiers import new_request_id
from optimizer.monitoring.request_context import working_on

_PAGES = re.compile(r"/(?:admin|me/(?!usage/?$))")


def is_page(path: str) -> bool:
    """Return whether a page is at ``path``: of the admin or of /me, where GET /me/usage is none."""
    return _PAGES.match(path) is not None


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


class PagesOnly:
    """A mixin for a middleware that only pages need; other requests skip it."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        if is_page(request.path):
            return await super().__acall__(request)  # type: ignore[misc]
        return await self.get_response(request)  # type: ignore[attr-defined]


class Sessions(PagesOnly, SessionMiddleware):
    """Keeps the sessions of pages."""


class Authentication(PagesOnly, AuthenticationMiddleware):
    """Sets the user of a page."""


class Messages(PagesOnly, MessageMiddleware):
    """Shows messages on pages."""


class Frames(PagesOnly, XFrameOptionsMiddleware):
    """Forbids other sites to show pages in a frame."""


class ContentPolicy(PagesOnly, CSPMiddleware):
    """Adds the content security policy to pages."""


class LoginLimit(PagesOnly, AxesMiddleware):
    """Limits failed logins."""


class Common(PagesOnly, CommonMiddleware):
    """Adds missing slashes to the URLs of pages, and refuses what no page can look up."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """Return a redirect if one is due. Raises ``BadRequest`` for NUL in the query.

        No database stores it, and PostgreSQL fails where it is searched for.
        """
        if "%00" in request.META.get("QUERY_STRING", ""):
            raise BadRequest("NUL in the query")
        return super().process_request(request)


class Csrf(PagesOnly, CsrfViewMiddleware):
    """Protects pages against forged requests; the JSON endpoints use no cookies."""

    def process_view(
        self, request: HttpRequest, callback: Any, callback_args: Any, callback_kwargs: Any
    ) -> Any:
        """Check the token of a page's request; return ``None`` to go on."""
        if not is_page(request.path):
            return None
        return super().process_view(request, callback, callback_args, callback_kwargs)
