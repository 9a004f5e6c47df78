"""The control room for everybody: by keyboard, on a phone, in the dark, and for axe."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Service

PAGES = (
    "/admin/?days=30", "/admin/live/", "/admin/playground/", "/admin/models/", "/admin/start/",
    "/admin/whatif/", "/admin/analytics/requestrecord/?o=2", "/admin/analytics/routingmetric/",
    "/admin/explore/?days=30&by=model&then=kind", "/admin/analytics/agentsession/?o=7",
    "/admin/levers/", "/admin/providers/", "/admin/settings/",
    "/admin/shadow/", "/admin/autopilot/", "/admin/analytics/deferredrequest/",
    "/admin/alerts/", "/admin/statements/", "/admin/analytics/alertrule/add/",
    "/admin/analytics/budget/add/", "/admin/analytics/priceoverride/add/",
)  # fmt: skip
_GRAVE = {"serious", "critical"}


# Django's links fade from one colour into another.
_FADED = """async () => {
  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  await Promise.allSettled(document.getAnimations().map((one) => one.finished));
}"""


def grave(page: Page, axe: Axe) -> list[str]:
    """What axe finds that keeps somebody out."""
    page.evaluate(_FADED)
    found = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['id']}: {one['help']} at {[node['target'] for node in one['nodes']][:3]}"
        for one in found
        if one["impact"] in _GRAVE
    ]


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_grave_in_light_or_dark(open_page: Open, axe: Axe, path: str) -> None:
    page = open_page(path, guest=True)
    page.wait_for_selector("#content")
    page.wait_for_timeout(300)
    assert grave(page, axe) == []
    page.emulate_media(color_scheme="dark")
    assert grave(page, axe) == []


def test_nor_in_what_comes_later(open_page: Open, service: Service, axe: Axe) -> None:
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


@pytest.mark.parametrize("path", PAGES)
def test_on_a_phone_nothing_is_wider_than_the_screen(
    open_page: Open, shots: Path, path: str
) -> None:
    page = open_page(path, width=390)
    page.wait_for_selector("#content")
    page.wait_for_timeout(300)
    wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    name = path.strip("/").partition("?")[0].replace("/", "-").removeprefix("admin-") or "home"
    page.screenshot(path=shots / f"phone-{name}.png")
    assert wider <= 0


def test_on_a_phone_every_table_can_be_reached(open_page: Open) -> None:
    page = open_page("/admin/", width=390)
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Budgets", exact=True).click()
    expect(page.get_by_role("heading", name="Select budget to change")).to_be_visible()


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
