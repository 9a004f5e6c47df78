"""The picker of the baseline: on each page with savings, one choice for all of them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote_plus

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open, Service
from tests.browser.test_control_room import PROMPT, shoot

DEAREST = "claude/claude-opus-5-5"
PAGES = {
    "live": "/admin/live/",
    "decisions": "/admin/analytics/routingmetric/",
    "requests": "/admin/analytics/requestrecord/",
    "sessions": "/admin/analytics/agentsession/",
    "totals": "/admin/analytics/dailytotal/",
}


@pytest.mark.parametrize("width", [1440, 390])
def test_what_is_picked_on_one_page_is_compared_with_on_all(
    open_page: Open, service: Service, shots: Path, width: int
) -> None:
    page = open_page("/admin/?days=30", width=width)
    line = page.locator("#headline")
    before = line.locator("strong").nth(1).inner_text()
    page.get_by_text("Dates and baseline").click()
    page.get_by_label("Saved compared with").select_option(DEAREST)
    page.get_by_role("button", name="Compare").click()
    expect(line).to_contain_text(f"always {DEAREST}")
    assert line.locator("strong").nth(1).inner_text() != before
    shoot(page, shots / f"baseline-home-{width}.png")
    decision = service.ask(PROMPT)["request_id"]
    service.ask(PROMPT, session="a-run")
    page.goto(PAGES["sessions"])
    session = page.locator("#result_list tbody th a").first.get_attribute("href")
    assert session is not None
    pages = {
        **PAGES,
        "decision": f"/admin/analytics/routingmetric/{decision}/change/",
        "request": f"/admin/analytics/requestrecord/{decision}/change/",
        "session": session,
    }
    for name, path in pages.items():
        page.goto(path)
        expect(page.get_by_label("Saved compared with")).to_have_value(DEAREST)
        fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        if name == "live":
            expect(page.locator("#saved")).to_contain_text("$")
        picker = page.locator(".baseline-picker").bounding_box()
        assert picker is not None
        assert picker["x"] + picker["width"] <= width
        shoot(page, shots / f"baseline-{name}-{width}.png")
        assert name != "live" or page.evaluate(fits)
        # A form within a form is dropped by browsers, and its button sends the outer one.
        for picked in ("complexity", DEAREST):
            page.get_by_label("Saved compared with").select_option(picked)
            page.get_by_role("button", name="Compare").click()
            page.wait_for_url(f"**{path.partition('?')[0]}?*baseline={quote_plus(picked)}*")
            expect(page.get_by_label("Saved compared with")).to_have_value(picked)
    page.goto(f"{pages['requests']}?status__exact=ok")
    page.get_by_label("Saved compared with").select_option("complexity")
    page.get_by_role("button", name="Compare").click()
    expect(page).to_have_url(
        f"{service.url}{pages['requests']}?status__exact=ok&baseline=complexity"
    )
    expect(page.locator("#result_list tbody tr").first).to_be_visible()
    page.goto("/admin/")
    expect(page.get_by_label("Saved compared with")).to_have_value("complexity")
