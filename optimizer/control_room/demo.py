"""Whether a user sees the demo, and the pages that show it in place of the real service.

A page shows the demo only if it is one of those listed here; all others, and everything that
changes something, are about the real service.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse

from analytics.database.demo import reading_demo
from analytics.models import RequestRecord
from optimizer.lab.demo.file import demo_exists

_SESSION_KEY = "demo"
_PAGES = frozenset(
    {
        "index", "charts", "details", "whose", "tools", "invoices",
        "explore", "explore_export", "explore_save", "explore_forget", "palette", "whatif",
        "whatif_estimates", "invoice",
        "statements", "statements_export",
        "alerts", "alert_test", "alert_mute", "channel_test", "digest_test",
    }
)  # fmt: skip
_TABLES = "analytics_"
"""How the names of the pages of the ledger's tables begin."""
_EXPORT = "_export"
_READS = frozenset({"GET", "HEAD"})
_KEPT = "_demo_view"


@dataclass(frozen=True, slots=True)
class DemoView:
    """What a page says of the demo.

    ``on`` is whether this user sees the demo, ``here`` whether this page shows it, and
    ``exists`` whether there is one.
    """

    exists: bool = False
    on: bool = False
    here: bool = False


def demo_view(request: HttpRequest) -> DemoView:
    """Return what this request sees of the demo; it is decided once a request.

    The demo is on if the user switched it on or, unless they switched it off, while there are
    no real requests.
    """
    kept = getattr(request, _KEPT, None)
    if kept is None:
        kept = _decide(request)
        setattr(request, _KEPT, kept)
    return cast(DemoView, kept)


def _decide(request: HttpRequest) -> DemoView:
    if not demo_exists():
        return DemoView()
    chosen = request.session.get(_SESSION_KEY)
    on = bool(chosen) if chosen is not None else not RequestRecord.objects.exists()
    return DemoView(exists=True, on=on, here=on and _is_covered(request))


def demo_switch(request: HttpRequest, on: bool) -> None:
    """Show the user of this session the demo from now on, or the real service."""
    request.session[_SESSION_KEY] = on


def demo_forget(request: HttpRequest) -> None:
    """Forget what the user chose, as after the demo was removed."""
    request.session.pop(_SESSION_KEY, None)


def _is_covered(request: HttpRequest) -> bool:
    match = request.resolver_match
    name = (match.url_name if match else "") or ""
    return name in _PAGES or name.startswith(_TABLES)


def _is_export(request: HttpRequest) -> bool:
    """Return whether the page is a file: what leaves the admin must not be taken for real."""
    match = request.resolver_match
    return bool(match and match.url_name and match.url_name.endswith(_EXPORT))


def showing_demo(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Return the view; it reads the demo where that is on, and then changes nothing."""

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **options: Any) -> HttpResponseBase:
        if not demo_view(request).here:
            return view(request, *args, **options)
        if request.method not in _READS or _is_export(request):
            return _refusal(request)
        with reading_demo():
            response = view(request, *args, **options)
            if isinstance(response, TemplateResponse):
                # A template may read rows, too.
                response.render()
        return response

    return shown


def _refusal(request: HttpRequest) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": "The demo cannot be changed",
    }
    return TemplateResponse(request, "admin/demo_refusal.html", context, status=403).render()
