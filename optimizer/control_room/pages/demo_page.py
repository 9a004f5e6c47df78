"""The page of the demo: make it, watch it being made, show it, remove it."""

from __future__ import annotations

from dataclasses import asdict

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from optimizer.control_room.demo import demo_forget, demo_switch
from optimizer.lab.demo.file import (
    DemoBusy,
    DemoPlan,
    demo_begin,
    demo_exists,
    demo_remove,
    demo_state,
)

MAY_VIEW, MAY_MAKE = "analytics.view_requestrecord", "analytics.ask_requestrecord"


def demo_page(request: HttpRequest) -> HttpResponse:
    """Show what there is of the demo; a script on the page follows its progress."""
    _require(request, MAY_VIEW)
    context = {
        **admin.site.each_context(request),
        "title": "Demo",
        "state": demo_state(),
        "plan": DemoPlan(),
        "may_make": request.user.has_perm(MAY_MAKE),  # type: ignore[union-attr]
    }
    return TemplateResponse(request, "admin/demo.html", context)


def demo_progress(request: HttpRequest) -> JsonResponse:
    """Return how far the demo is, as JSON."""
    _require(request, MAY_VIEW)
    return JsonResponse(asdict(demo_state()))


@require_POST
def demo_make(request: HttpRequest) -> HttpResponseRedirect:
    """Start to make the demo, and show it to this user once it is ready."""
    _require(request, MAY_MAKE)
    try:
        demo_begin(DemoPlan())
    except DemoBusy:
        messages.info(request, "The demo is being made already.")
    except OSError as error:
        messages.error(request, f"The demo cannot be written: {error.strerror}.")
        return redirect("admin:demo")
    demo_switch(request, on=True)
    return redirect("admin:demo")


@require_POST
def demo_show(request: HttpRequest) -> HttpResponseRedirect:
    """Switch the demo on or off for this user, and go back."""
    _require(request, MAY_VIEW)
    demo_switch(request, on=request.POST.get("on") == "1" and demo_exists())
    back = request.POST.get("back", "")
    if url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}):
        return HttpResponseRedirect(back)
    return redirect("admin:index")


@require_POST
def demo_delete(request: HttpRequest) -> HttpResponseRedirect:
    """Remove the demo for everybody."""
    _require(request, MAY_MAKE)
    try:
        demo_remove()
    except DemoBusy:
        messages.error(request, "The demo is being made; it can be removed then.")
    else:
        demo_forget(request)
        messages.success(request, "The demo is removed.")
    return redirect("admin:index")


def _require(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):  # type: ignore[union-attr]
        raise PermissionDenied
