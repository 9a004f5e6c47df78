"""The control room for everybody: by keyboard, on a phone, in the dark, and for axe."""

from __future__ import annotations

from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import SETTLED, Open, Service

_GRAVE = {"serious", "critical"}


def grave(page: Page, axe: Axe) -> list[str]:
    """What axe finds that keeps somebody out."""
    page.evaluate(SETTLED)
    found = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['id']}: {one['help']} at {[node['target'] for node in one['nodes']][:3]}"
        for one in found
        if one["impact"] in _GRAVE
    ]


def test_axe_finds_nothing_grave_in_what_comes_later(
    open_page: Open, service: Service, axe: Axe
) -> None:
    asked = service.ask("What comes later, and why?", auto_route=True)
    page = open_page(f"/admin/analytics/routingmetric/{asked['request_id']}/change/", guest=True)
    expect(page.locator(".headline")).to_be_visible()
    assert grave(page, axe) == []
    page.goto(f"/admin/analytics/requestrecord/{asked['request_id']}/change/")
    expect(page.get_by_role("link", name="Open in the playground")).to_be_visible()
    assert grave(page, axe) == []
    page.goto("/admin/?days=30")
    expect(page.locator("#chart-spend")).to_be_visible()
    page.get_by_text("More charts").click()
    expect(page.locator("#chart-hits")).to_be_visible()
    page.get_by_text("Providers, models, budgets").click()
    expect(page.get_by_text("Most used budgets")).to_be_visible()
    for figures in page.get_by_text("Figures", exact=True).all():
        if figures.is_visible():
            figures.click()
    assert grave(page, axe) == []
    page.goto("/admin/playground/")
    page.get_by_role("button", name="Compare strategies").click()
    expect(page.get_by_role("rowheader", name="hybrid", exact=True)).to_be_visible()
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("link", name="Decision details")).to_be_visible()
    assert grave(page, axe) == []


def test_on_a_phone_every_table_can_be_reached(open_page: Open) -> None:
    page = open_page("/admin/", width=390)
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Budgets", exact=True).click()
    expect(page.get_by_role("heading", name="Budgets")).to_be_visible()


def test_by_keyboard_from_the_top_to_a_figure_s_rows(open_page: Open) -> None:
    page = open_page("/admin/?days=30")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to main content")
    page.keyboard.press("Enter")
    for _ in range(60):
        page.keyboard.press("Tab")
        if "card" in page.evaluate("document.activeElement.className").split():
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/analytics/**")


def test_in_the_dark_it_is_dark(open_page: Open, shots: Path) -> None:
    page = open_page("/admin/?days=30", dark=True)
    page.wait_for_load_state("networkidle")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, background.removeprefix("rgb(").removesuffix(")").split(","))) < 60
    page.screenshot(path=shots / "home-dark.png", full_page=True)


def test_the_palette_leads_by_keyboard_to_pages_and_to_a_request(
    open_page: Open, service: Service, axe: Axe, shots: Path
) -> None:
    asked = service.ask("What does the palette find?", auto_route=True)
    page = open_page("/admin/live/", guest=True)
    palette = page.get_by_role("dialog")
    search = page.get_by_role("combobox", name="Search pages, models, keys and requests")
    page.get_by_role("button", name="Search or jump to").wait_for()
    page.keyboard.press("Control+k")
    expect(search).to_be_focused()
    page.keyboard.type("haiku")
    found = palette.get_by_role("group", name="Models").get_by_role("option")
    expect(found.first).to_contain_text("claude-haiku")
    assert grave(page, axe) == []
    page.screenshot(path=shots / "palette.png")
    page.keyboard.press("Escape")
    expect(palette).to_be_hidden()
    page.keyboard.press("Control+k")
    page.keyboard.type("prices")
    expect(palette.get_by_role("option", selected=True)).to_contain_text("Models and prices")
    page.keyboard.press("ArrowDown")
    active = search.get_attribute("aria-activedescendant")
    expect(palette.get_by_role("option", selected=True)).to_have_id(active or "")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/models/")
    page.get_by_role("button", name="Search or jump to").click()
    page.keyboard.type(f"chatcmpl-{asked['request_id']}")
    expect(palette.get_by_role("group", name="Requests")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{asked['request_id']}/change/")
