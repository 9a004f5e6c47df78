"""Every page of the admin, at a desk and on a phone, light and dark: axe and the width agree."""

from __future__ import annotations

import os
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
        "digest_test", "analytics_apikey_users", "whatif_estimates",
        "invoice",
    }
)  # fmt: skip
_SIZES = ((1440, 900), (390, 844))
_GRAVE = ("serious", "critical")
_THOROUGH = bool(os.environ.get("THOROUGH"))
"""Every rule of axe, that of WCAG 2.2 on the size of targets too, in light and dark, on all rows:
`THOROUGH=1 make test-browser ARGS="-k nothing_serious"`, some minutes."""
_USUAL = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
# Parts that are alike but for their texts and addresses (the navigation of all pages, rows of one
# table) are examined once for each size and scheme: what was seen is kept in the tab.
_EXAMINE = """async ([grave, only, place]) => {
  const seen = new Set(JSON.parse(sessionStorage.getItem("examined") ?? "[]"));
  const kept = new Set(["class", "style", "type", "role", "hidden", "disabled", "tabindex"]);
  const shape = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data.trim() ? "x" : "";
    if (node.nodeType !== Node.ELEMENT_NODE) return "";
    const fields = [...node.attributes].map(
      ({ name, value }) => `${name}=${kept.has(name) ? value : value.trim() ? "x" : ""}`
    );
    return `<${node.localName} ${fields}>${[...node.childNodes].map(shape).join("")}</>`;
  };
  const around = (node) => {
    const names = [];
    for (let at = node.parentElement; at; at = at.parentElement) {
      names.push(`${at.localName}.${at.className}`);
    }
    return names.join(" ");
  };
  // The tab keeps five megabytes: 53 bits of each part are enough to know it again (cyrb53).
  const digest = (text) => {
    let a = 0xdeadbeef, b = 0x41c6ce57;
    for (let at = 0; at < text.length; at++) {
      a = Math.imul(a ^ text.charCodeAt(at), 2654435761);
      b = Math.imul(b ^ text.charCodeAt(at), 1597334677);
    }
    a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
    b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
    return 4294967296 * (2097151 & b) + (a >>> 0);
  };
  const alike = [];
  if (place) {
    for (const part of document.querySelectorAll("#header, nav, tbody tr, li")) {
      if (alike.some((other) => other.contains(part))) continue;
      const turn = part.localName === "tr" ? part.sectionRowIndex % 2 : 0;
      const name = digest(`${place} ${turn} ${around(part)} ${shape(part)}`);
      if (seen.has(name)) alike.push(part);
      seen.add(name);
    }
    sessionStorage.setItem("examined", JSON.stringify([...seen]));
  }
  const options = { resultTypes: ["violations"], preload: false };
  if (only) options.runOnly = only;
  else options.rules = { "target-size": { enabled: true } };
  // Django's own lists of permissions name their icons so.
  const help = [...document.querySelectorAll(".selector .help-tooltip")];
  const left = [...help, ...alike];
  const { violations } = await axe.run(left.length ? { exclude: left } : document, options);
  return violations.filter((one) => grave.includes(one.impact)).map(
    (one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.target).join("; ")}`
  );
}"""
_WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_CUT_OFF = """() => [...document.querySelectorAll("fieldset :is(input, select, textarea, .help)")]
  .filter((part) => part.offsetParent && part.getBoundingClientRect().right
    > part.closest("fieldset").getBoundingClientRect().right)
  .map((part) => part.id || part.className)"""
_FIRST_ROW = "() => document.querySelector('#result_list tbody tr :is(th, td) a')?.pathname ?? ''"


def own_pages() -> list[str]:
    """The addresses of the admin's pages that need no argument, by the site's own routes."""
    # It registers the admins of models, for which Django must be set up.
    from optimizer.control_room import urls as admin_pages

    operator = HttpRequest()
    operator.user = User(is_staff=True, is_superuser=True)
    never = {
        f"{table.opts.app_label}_{table.opts.model_name}_add"
        for table in admin.site._registry.values()
        if not table.has_add_permission(operator)
    }
    names = set(_names(admin_pages.urlpatterns)) - _NOT_PAGES - never
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
        if cut_off := page.evaluate(_CUT_OFF):
            yield f"{width} px: cut off at the right: {', '.join(cut_off)}"
        for scheme, usual in (("light", _USUAL), ("dark", ["color-contrast"])):
            page.emulate_media(color_scheme=scheme)
            page.evaluate(SETTLED)
            asked = [_GRAVE, None, ""] if _THOROUGH else [_GRAVE, usual, f"{width} {scheme}"]
            for problem in page.evaluate(_EXAMINE, asked):
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
