"""Who looks at a page of /me: a developer with an account, or whoever has pasted an API key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from analytics.access.developers import developer_of
from analytics.access.keys import keys_valid, tenant_of
from analytics.budgets.claims import Payer
from analytics.models import ApiKey, Developer
from analytics.reports.own_usage import Owner
from optimizer.access.api_keys import known_key
from optimizer.access.client_address import address_of_request

_KEY = "me_key"
_KEY_SECONDS = 12 * 3600


@dataclass(frozen=True)
class Visitor:
    """Exactly one of ``developer`` and ``key`` is set. A key only looks: it makes no other keys."""

    developer: Developer | None = None
    key: ApiKey | None = None

    @property
    def name(self) -> str:
        """Return the name for people: of the developer or of the key."""
        return self.developer.name if self.developer else f"key {self.key}"

    @property
    def owner(self) -> Owner:
        """Return whose rows the pages show."""
        if self.developer is not None:
            return Owner(tenant="", developer=self.developer.pk)
        assert self.key is not None
        return Owner(tenant_of(self.key), self.key.prefix, self.key.user)

    @cached_property
    def keys(self) -> list[ApiKey]:
        """Return the valid keys."""
        if self.key is not None:
            return [self.key]
        return list(keys_valid().filter(developer=self.developer))

    @property
    def payers(self) -> list[Payer]:
        """Return as whom the requests are paid: once for each key, and by name without one."""
        payers = [Payer.of_key(key) for key in self.keys]
        if self.developer is not None:
            payers.append(Payer(user=self.developer.name))
        return payers


def visitor_of(request: HttpRequest) -> Visitor | None:
    """Return who has signed in; ``None`` for nobody, and once the key or access has ended."""
    if request.user.is_authenticated:
        developer = developer_of(request.user)
        return None if developer is None else Visitor(developer=developer)
    pk = request.session.get(_KEY)
    if pk is None:
        return None
    key = keys_valid().filter(pk=pk).first()
    if key is None or not key_admits(key, request):
        request.session.flush()
        return None
    return Visitor(key=key)


def key_admits(key: ApiKey, request: HttpRequest) -> bool:
    """Return whether a key may be used from where the request comes."""
    return known_key(key).admits(address_of_request(request))


def key_remember(request: HttpRequest, key: ApiKey) -> None:
    """Begin a session of ``key``: a new one, so that nobody else knows its id.

    It has the row's number and not the key, and lasts twelve hours.
    """
    logout(request)
    request.session[_KEY] = key.pk
    request.session.set_expiry(_KEY_SECONDS)


def for_visitors(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Return the view, called with the visitor; others are sent to the sign-in."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **options: Any) -> HttpResponseBase:
        visitor = visitor_of(request)
        if visitor is None:
            return redirect("me:home")
        return view(request, visitor, *args, **options)

    return checked


def page(
    request: HttpRequest,
    template: str,
    title: str,
    visitor: Visitor | None = None,
    *,
    status: int = 200,
    **context: Any,
) -> TemplateResponse:
    """Return a page that no cache keeps: it is about one person."""
    context |= {"title": title, "visitor": visitor, "site_title": "AI Cost Optimizer"}
    response = TemplateResponse(request, template, context, status=status)
    response["Cache-Control"] = "no-store"
    return response
