"""Every page of the admin, at a desk and on a phone, light and dark: axe and the width agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from axe_playwright_python.base import AXE_FILE_PATH
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import URLResolver, reverse
from playwright.sync_api import Browser, Page

from tests.browser.conftest import SETTLED, LogIn, Service, watched_page

_NOT_PAGES = frozenset(
    {
        # They answer scripts or forms, send files, or are Django's own for its widgets.
        "charts", "details", "whose", "palette", "explore_export", "explore_save",
        "explore_forget", "live_events", "playground_choices", "playground_run",
        "playground_rate", "shadow_move", "shadow_undo", "autopilot_switch", "demo_progress",
        "demo_make", "demo_show", "demo_delete", "test_connection", "jsi18n", "autocomplete",
        "logout", "login", "view_on_site", "app_list", "alert_test", "alert_mute", "channel_test",
        "digest_test", "analytics_apikey_users",
    }
)  # fmt: skip
_SIZES = ((1440, 900), (390, 844))
_GRAVE = ("serious", "critical")
_EXAMINE = """async ([grave, only]) => {
  const rules = only ? [only] : ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"];
  const options = { resultTypes: ["violations"], runOnly: rules, preload: false };
  // Django's own lists of permissions name their icons so.
  const { violations } = await axe.run({ exclude: [".selector .help-tooltip"] }, options);
  return violations.filter((one) => grave.includes(one.impact)).map(
    (one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.target).join("; ")}`
  );
}"""
_WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_FIRST_ROW = "() => document.querySelector('#result_list tbody tr :is(th, td) a')?.pathname ?? ''"


def own_pages() -> list[str]:
    """The addresses of the admin's pages that need no argument, by the site's own routes."""
    operator = HttpRequest()
    operator.user = User(is_staff=True, is_superuser=True)
    never = {
        f"{table.opts.app_label}_{table.opts.model_name}_add"
        for table in admin.site._registry.values()
        if not table.has_add_permission(operator)
    }
    names = set(_names(admin.site.get_urls())) - _NOT_PAGES - never
    return sorted(reverse(f"admin:{name}") for name in names if not name.endswith("_export"))


def _names(patterns: list[Any]) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _names(pattern.url_patterns)
        elif pattern.name and not (pattern.pattern.converters or pattern.pattern.regex.groups):
            yield pattern.name


def problems(page: Page) -> Iterator[str]:
    """What keeps somebody out of the page, at each size, light and dark.

    Only colours differ between light and dark, so that the rest is examined once for each size.
    """
    for width, height in _SIZES:
        page.set_viewport_size({"width": width, "height": height})
        if wider := _wider(page):
            yield f"{width} px: {wider} px too wide"
        for scheme, only in (("light", None), ("dark", "color-contrast")):
            page.emulate_media(color_scheme=scheme)
            page.evaluate(SETTLED)
            for problem in page.evaluate(_EXAMINE, [_GRAVE, only]):
                yield f"{width} px, {scheme}: {problem}"


def _wider(page: Page) -> int:
    """By how many pixels the page is too wide, once charts have taken their new size."""
    for _ in range(20):
        wider: int = page.evaluate(_WIDER)
        if wider <= 0:
            return 0
        page.wait_for_timeout(50)
    return wider


def test_nothing_serious_is_on_any_page(service: Service, browser: Browser, log_in: LogIn) -> None:
    service.ask("What is on every page, and why?", auto_route=True)
    found: list[str] = []
    with watched_page(browser, service, log_in("root"), found) as page:
        page.context.add_init_script(path=AXE_FILE_PATH)
        addresses = own_pages()
        assert len(addresses) > 40
        for address in addresses:
            response = page.goto(address)
            assert response is not None
            assert response.status == 200, address
            rows = [page.evaluate(_FIRST_ROW)] if "/analytics/" in address else []
            found += [f"{address}: {problem}" for problem in problems(page)]
            if rows and rows[0] and "/change/" in rows[0]:
                page.goto(rows[0])
                found += [f"{rows[0]}: {problem}" for problem in problems(page)]
    assert found == [], "\n".join(found)
