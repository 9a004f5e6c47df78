"""The admin site: Django's own, with the control room as its home page."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite, ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path

from analytics.access.prompt_rights import may_view_prompts
from analytics.database.replicas import reading_elsewhere
from analytics.reports.compared import ComparedWith
from optimizer.control_room.baseline import picked_baseline, remembering_baseline
from optimizer.control_room.demo import demo_view, showing_demo
from optimizer.control_room.light_admin import light
from optimizer.control_room.navigation import group_models, navigation
from optimizer.control_room.pages.alerts import (
    alert_mute_view,
    alert_test_view,
    alerts_page,
    channel_test_view,
    digest_test_view,
)
from optimizer.control_room.pages.autopilot import (
    autopilot_page,
    autopilot_revert_view,
    autopilot_switch_view,
)
from optimizer.control_room.pages.demo_page import (
    demo_delete,
    demo_make,
    demo_page,
    demo_progress,
    demo_show,
)
from optimizer.control_room.pages.explore.page import (
    explore_export,
    explore_forget,
    explore_page,
    explore_save,
)
from optimizer.control_room.pages.first_run import start_page, test_connection
from optimizer.control_room.pages.home.charts import charts
from optimizer.control_room.pages.home.details import cost_breakdown, details
from optimizer.control_room.pages.home.overview import latest_request, overview
from optimizer.control_room.pages.invoices import invoice_view, invoices_page
from optimizer.control_room.pages.levers.page import levers_page
from optimizer.control_room.pages.live import live_events, live_page
from optimizer.control_room.pages.model_prices import models_page
from optimizer.control_room.pages.operation.model import model_page
from optimizer.control_room.pages.operation.providers import providers_page
from optimizer.control_room.pages.operation.runtime_settings import settings_page
from optimizer.control_room.pages.palette import palette_view
from optimizer.control_room.pages.period import PERIODS, ReportPeriod
from optimizer.control_room.pages.playground import (
    MAY_ASK,
    PLAYGROUND_RIGHTS,
    choices_view,
    playground_page,
    rate_view,
    run_view,
)
from optimizer.control_room.pages.shadow import (
    shadow_move_view,
    shadow_page,
    shadow_undo_view,
)
from optimizer.control_room.pages.statements import statement_file, statements_page
from optimizer.control_room.pages.tool_costs import tools_page
from optimizer.control_room.pages.whatif.page import whatif_estimates_view, whatif_view


class ControlRoom(AdminSite):
    """The admin site. Its home page shows figures to users who may view requests."""

    index_template = "admin/control_room.html"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register the admin of models, which sends no script that its pages do not need."""
        super().register(model_or_iterable, light(admin_class or ModelAdmin), **options)

    def get_urls(self) -> list[Any]:
        """Return the URLs of the control room's pages, then those of Django's admin."""
        return [
            path("charts/", self.admin_view(self.charts), name="charts"),
            path("details/", self.admin_view(self.details), name="details"),
            path("whose/", self.admin_view(self.cost_breakdown), name="whose"),
            path("explore/", self.admin_view(explore_page), name="explore"),
            path("explore/export/", self.admin_view(explore_export), name="explore_export"),
            path("explore/save", self.admin_view(explore_save), name="explore_save"),
            path("explore/forget", self.admin_view(explore_forget), name="explore_forget"),
            path("palette/", self.admin_view(palette_view), name="palette"),
            path("live/", self.admin_view(live_page), name="live"),
            path("live/events", live_events, name="live_events"),  # type: ignore[arg-type]
            path("playground/", self.admin_view(playground_page), name="playground"),
            path("playground/choices", self.admin_view(choices_view), name="playground_choices"),
            path("playground/run", run_view, name="playground_run"),  # type: ignore[arg-type]
            path("playground/rate", self.admin_view(rate_view), name="playground_rate"),
            path("models/", self.admin_view(models_page), name="models"),
            path("models/set/", self.admin_view(model_page), name="model"),
            path("whatif/", self.admin_view(whatif_view), name="whatif"),
            path(
                "whatif/estimates",
                self.admin_view(whatif_estimates_view),
                name="whatif_estimates",
            ),
            path("providers/", self.admin_view(providers_page), name="providers"),
            path("settings/", self.admin_view(settings_page), name="settings"),
            path("levers/", self.admin_view(levers_page), name="levers"),
            path("invoices/", self.admin_view(invoices_page), name="invoices"),
            path("invoices/provider", self.admin_view(invoice_view), name="invoice"),
            path("tools/", self.admin_view(tools_page), name="tools"),
            path("alerts/", self.admin_view(alerts_page), name="alerts"),
            path("alerts/<int:number>/test", self.admin_view(alert_test_view), name="alert_test"),
            path("alerts/<int:number>/mute", self.admin_view(alert_mute_view), name="alert_mute"),
            path(
                "alerts/channels/<int:number>/test",
                self.admin_view(channel_test_view),
                name="channel_test",
            ),
            path(
                "alerts/digests/<int:number>/test",
                self.admin_view(digest_test_view),
                name="digest_test",
            ),
            path("statements/", self.admin_view(statements_page), name="statements"),
            path("statements/export", self.admin_view(statement_file), name="statements_export"),
            path("shadow/", self.admin_view(shadow_page), name="shadow"),
            path("shadow/move", self.admin_view(shadow_move_view), name="shadow_move"),
            path("shadow/undo", self.admin_view(shadow_undo_view), name="shadow_undo"),
            path("autopilot/", self.admin_view(autopilot_page), name="autopilot"),
            path(
                "autopilot/switch", self.admin_view(autopilot_switch_view), name="autopilot_switch"
            ),
            path(
                "autopilot/<int:number>/revert",
                self.admin_view(autopilot_revert_view),
                name="autopilot_revert",
            ),
            path("start/", self.admin_view(start_page), name="start"),
            path("demo/", self.admin_view(demo_page), name="demo"),
            path("demo/progress", self.admin_view(demo_progress), name="demo_progress"),
            path("demo/make", self.admin_view(demo_make), name="demo_make"),
            path("demo/show", self.admin_view(demo_show), name="demo_show"),
            path("demo/remove", self.admin_view(demo_delete), name="demo_delete"),
            path("start/test", test_connection, name="test_connection"),  # type: ignore[arg-type]
            *super().get_urls(),
        ]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Group the tables by the tasks of operators, not by the app that defines them."""
        apps = super().get_app_list(request, app_label)
        return apps if app_label else group_models(apps)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Return the view for staff; it remembers the baseline that its address names.

        It shows the demo where the user sees that.
        """
        return remembering_baseline(super().admin_view(showing_demo(view), cacheable))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return what every page needs: the navigation, and what the user sees of the demo."""
        context = super().each_context(request)
        if request.user.is_authenticated:
            context["demo"] = demo_view(request)
            context["navigation"] = navigation(request, context["available_apps"])
        return context

    def compared_with(self, request: HttpRequest) -> ComparedWith:
        """Return the baseline that the savings of a page are compared with."""
        return picked_baseline(request)

    def models_to_ask(self, request: HttpRequest) -> list[str] | None:
        """Return what a recorded prompt can be asked again; ``None`` without a playground.

        The list is empty if the user may look at the playground, and run nothing in it.
        """
        user: Any = request.user
        if demo_view(request).here or not user.has_perms(PLAYGROUND_RIGHTS):
            return None
        from optimizer.wiring.build import get_services

        return get_services().playground.models() if user.has_perm(MAY_ASK) else []

    @reading_elsewhere()
    def index(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the home page, with the figures of the period that the query names."""
        context: dict[str, Any] = {"periods": PERIODS}
        if request.user.has_perm("analytics.view_requestrecord"):  # type: ignore[union-attr]
            context["room"] = room = overview(
                ReportPeriod.from_query(request.GET),
                _circuits(request),
                self.compared_with(request),
            )
            if room["empty"]:
                context["latest"] = latest_request()
        return super().index(request, {**(extra_context or {}), **context})

    @reading_elsewhere()
    def details(self, request: HttpRequest) -> HttpResponse:
        """Return the tables that the home page loads when they are opened."""
        if not request.user.has_perm("analytics.view_requestrecord"):  # type: ignore[union-attr]
            raise PermissionDenied
        period, compared = ReportPeriod.from_query(request.GET), self.compared_with(request)
        context = details(period, _circuits(request), compared)
        context["live"] = not demo_view(request).here
        return TemplateResponse(request, "admin/details.html", context)

    @reading_elsewhere()
    def cost_breakdown(self, request: HttpRequest) -> HttpResponse:
        """Return the part of the details that takes longer: users, tags, prompts."""
        if not request.user.has_perm("analytics.view_requestrecord"):  # type: ignore[union-attr]
            raise PermissionDenied
        context = cost_breakdown(ReportPeriod.from_query(request.GET), self.compared_with(request))
        context["may_view_prompts"] = may_view_prompts(request)
        return TemplateResponse(request, "admin/whose.html", context)

    @reading_elsewhere()
    def charts(self, request: HttpRequest) -> HttpResponse:
        """Return the data of the home page's charts as JSON."""
        if not request.user.has_perm("analytics.view_requestrecord"):  # type: ignore[union-attr]
            raise PermissionDenied
        return JsonResponse(
            charts(ReportPeriod.from_query(request.GET), self.compared_with(request))
        )


def _circuits(request: HttpRequest) -> dict[str, str]:
    """Return the state of each provider's circuit breaker; the demo has none."""
    from optimizer.wiring.build import get_services

    if demo_view(request).here:
        return {}
    caller = get_services().caller
    return {name: caller.circuit_state(name) for name in caller.providers}
