"""A key with a budget in one form, and a developer's pages, from the invitation on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Open, Service
from tests.browser.test_control_room import shoot, wait_for_pictures
from tests.browser.test_for_everybody import grave

PASSWORD = "kangaroo-lamp-41"


@pytest.fixture(autouse=True)
def _no_keys_left(service: Service) -> Iterator[None]:
    """Other tests ask without a key, which is served while there is none."""
    yield
    service.running.manage(
        "shell", "-c", "from analytics.models import ApiKey; ApiKey.objects.all().delete()"
    )
    while httpx.get(f"{service.url}/v1/models").status_code != 200:
        time.sleep(0.1)


def fits(page: Page) -> bool:
    wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return bool(wider <= 0)


def test_a_key_with_five_dollars_a_day_is_one_form(open_page: Open, axe: Axe, shots: Path) -> None:
    page = open_page("/admin/analytics/apikey/add/", guest=True)
    page.get_by_label("Name:").fill("ann's laptop")
    # A name that nobody has yet is taken as it is typed.
    page.locator("#select2-id_user-container").click()
    page.locator(".select2-search__field").fill("ann")
    page.get_by_role("option", name="ann").first.click()
    page.get_by_label("May spend, USD:").fill("5")
    page.get_by_label("Expires at (UTC):").fill("2031-05-06T07:08")
    assert grave(page, axe) == []
    page.get_by_role("button", name="Save", exact=True).click()
    secret = page.locator(".secret").inner_text()
    assert secret.startswith("aco_")
    page.get_by_role("button", name="Copy the key").click()
    expect(page.locator(".made-key .copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.get_by_text("Claude Code", exact=True).click()
    assert grave(page, axe) == []
    page.get_by_role("link", name="What ann's laptop spends").click()
    expect(page.get_by_role("heading", name="Budgets")).to_be_visible()
    expect(page.locator(".burn-down canvas")).to_be_visible()
    wait_for_pictures(page)
    page.set_viewport_size({"width": 390, "height": 900})
    assert fits(page)
    assert grave(page, axe) == []
    shoot(page, shots / "phone-key.png")


def test_a_developer_is_invited_and_sees_their_own(
    service: Service, browser: Browser, axe: Axe, shots: Path
) -> None:
    service.running.manage(
        "shell", "-c",
        "from decimal import Decimal; from analytics.models import KeyTemplate;"
        "KeyTemplate.objects.get_or_create(name='all', budget=Decimal(5), days=90)",
    )  # fmt: skip
    link = service.running.manage("invite", "bea", "--template", "all", "--url", service.url)
    trouble: list[str] = []
    for scripts in (True, False):
        context = browser.new_context(
            viewport={"width": 1300, "height": 900}, java_script_enabled=scripts, bypass_csp=True
        )
        page = context.new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        if scripts:
            page.goto(link.strip().splitlines()[-1])
            page.get_by_label("Password", exact=True).fill(PASSWORD)
            page.get_by_label("Password again").fill(PASSWORD)
            page.get_by_role("button", name="Go on").click()
        else:
            page.goto(f"{service.url}/me/")
            page.get_by_label("User name").fill("bea")
            page.get_by_label("Password", exact=True).fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Your usage")).to_be_visible()
        page.get_by_role("link", name="Keys", exact=True).click()
        page.get_by_label("Name of the key").fill(f"laptop {int(scripts)}")
        page.get_by_role("button", name="Make a key").click()
        assert page.locator(".secret").inner_text().startswith("aco_")
        if scripts:
            for path in ("", "requests/", "sessions/", "keys/"):
                page.goto(f"{service.url}/me/{path}")
                for width, scheme in ((1300, "light"), (390, "dark")):
                    page.set_viewport_size({"width": width, "height": 900})
                    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                    assert grave(page, axe) == []
                    assert fits(page)
            shoot(page, shots / "me-keys.png")
        page.goto(f"{service.url}/me/keys/")
        for key in page.get_by_role("button", name="Revoke bea").all()[:1]:
            key.click()
            expect(page.get_by_text("is revoked, everywhere within a second")).to_be_visible()
        context.close()
    assert trouble == []
