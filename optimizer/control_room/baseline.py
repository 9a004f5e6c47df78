"""The baseline that the user picked: named by a page's address, else the one picked last.

A cookie keeps it, so that it is the same on all pages of the admin.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

from analytics.reports.compared import PARAMETER, ComparedWith
from optimizer.pricing.baselines import UnknownBaseline
from optimizer.wiring.build import get_services

_COOKIE = "optimizer_baseline"
_DEFAULT = "recorded"
_SECONDS = 30 * 24 * 3600


def picked_baseline(request: HttpRequest) -> ComparedWith:
    """Return the picked baseline; the recorded one if there is none of that name."""
    services = get_services()
    for name in (request.GET.get(PARAMETER), request.COOKIES.get(_COOKIE)):
        if name:
            try:
                return services.compared_with(name)
            except UnknownBaseline:
                return services.compared_with(_DEFAULT)
    return services.compared_with(_DEFAULT)


def remembering_baseline(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Return the view; a baseline that is named in the address of its page is kept for others.

    What a script of another page loads changes nothing.
    """

    @wraps(view)
    def remembering(request: HttpRequest, *args: Any, **options: Any) -> HttpResponseBase:
        response = view(request, *args, **options)
        opened = request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        if opened and request.GET.get(PARAMETER) and request.user.is_staff:  # type: ignore[union-attr]
            response.set_cookie(
                _COOKIE,
                picked_baseline(request).name,
                max_age=_SECONDS,
                path=reverse("admin:index"),
                secure=request.is_secure(),
                httponly=True,
                samesite="Lax",
            )
        return response

    return remembering
