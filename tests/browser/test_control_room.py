"""Each page of the control room, used as an operator uses it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open, Service
from tests.fakes.wires import ANSWER

PROMPT = "Analyze and compare two designs for a rate limiter, step by step."


def shoot(page: Page, path: Path) -> None:
    page.evaluate("window.scrollTo(0, 0)")
    page.screenshot(path=path, full_page=True)


_DRAWN = """
(() => {
  const seen = [...document.querySelectorAll("canvas")].filter(canvas => canvas.offsetParent);
  // A copy is read: browsers warn of a canvas of the page that is read again and again.
  const inked = ({ width, height }, at) => {
    if (!width || !height) return false;
    const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(seen[at], 0, 0);
    return copy.getImageData(0, 0, width, height).data.some(value => value > 0);
  };
  return seen.length > 0 && seen.every(inked);
})()
"""


def wait_for_pictures(page: Page) -> None:
    """Until all that are seen are drawn. Asked from outside: the page's policy lets no string be
    run."""
    for _ in range(200):
        if page.evaluate(_DRAWN):
            return
        page.wait_for_timeout(100)
    raise AssertionError("A picture was not drawn.")


def card_of(page: Page, figure: str) -> Locator:
    """Return the card of ``figure``; other cards may speak of it, too."""
    return page.locator(".card", has=page.get_by_text(figure, exact=True)).first


def requests_today(page: Page) -> int:
    """Of the live page, once it knows."""
    counted = page.locator("#requests")
    expect(counted).to_have_text(re.compile(r"^[\d,]+$"))
    return int(counted.inner_text().replace(",", ""))


def test_home_says_what_is_spent_and_leads_to_the_rows(open_page: Open, shots: Path) -> None:
    page = open_page("/admin/?days=30")
    expect(card_of(page, "Spent").locator("strong")).to_contain_text("$")
    expect(page.locator("#headline")).to_contain_text("You spent $")
    expect(page.locator("#chart-spend canvas")).to_be_visible()
    expect(page.locator("#chart-strategies")).to_have_count(0)
    wait_for_pictures(page)
    page.set_viewport_size({"width": 1300, "height": 1350})
    page.screenshot(path=shots / "home.png")
    page.get_by_text("More charts").click()
    expect(page.locator("#chart-strategies canvas")).to_be_visible()
    page.get_by_text("Providers, models, budgets").click()
    expect(page.get_by_text("Kinds of prompt, by cost")).to_be_visible()
    expect(page.get_by_text("Most used budgets")).to_be_visible()
    shoot(page, shots / "home-whole.png")
    page.get_by_role("link", name="7 days").click()
    expect(page.get_by_role("link", name="7 days")).to_have_attribute("aria-current", "true")
    today = datetime.now(UTC).date().isoformat()
    page.get_by_text("Dates and baseline").click()
    page.get_by_label("From").fill(today)
    page.get_by_label("to", exact=True).fill(today)
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_label("From")).to_have_value(today)
    card_of(page, "Requests").click()
    expect(page).to_have_url(re.compile("requestrecord"))
    expect(page.locator("#result_list tbody tr").first).to_be_visible()


def test_a_chart_tells_its_figures_and_leads_to_their_rows(open_page: Open) -> None:
    page = open_page("/admin/?days=30")
    chart = page.locator("#chart-models")
    expect(chart.locator("canvas")).to_be_visible()
    chart.get_by_text("Figures").click()
    days = [
        sum(int(cell.replace(",", "")) for cell in row.locator("td").all_inner_texts())
        for row in chart.locator("tbody tr").all()
    ]
    fullest = max(range(len(days)), key=days.__getitem__)
    assert days[fullest] > 20

    wait_for_pictures(page)
    middle = (
        "Chart.getChart(document.querySelector('#chart-models canvas'))"
        f".getDatasetMeta(0).data[{fullest}].x"
    )
    chart.locator("canvas").click(position={"x": page.evaluate(middle), "y": 40})
    expect(page).to_have_url(re.compile("requestrecord.*created_at__gte"))
    rows = page.locator(".paginator")
    expect(rows).to_contain_text(f"{days[fullest]} request")


def test_a_rare_tag_and_a_user_lead_to_their_rows_and_back(open_page: Open) -> None:
    page = open_page("/admin/?days=30")
    page.get_by_text("Providers, models, budgets").click()
    page.locator("#whose").get_by_role("link", name="support").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(12)
    page.get_by_role("link", name="All", exact=True).last.click()
    expect(page.locator("#result_list tbody tr")).to_have_count(50)


@pytest.mark.parametrize("dark", [False, True])
def test_pictures_follow_the_machine_and_whoever_says_otherwise(
    open_page: Open, dark: bool
) -> None:
    page = open_page("/admin/?days=30", dark=dark)
    expect(page.locator("#chart-spend canvas")).to_be_visible()
    wait_for_pictures(page)
    seen = """() => [
      Chart.getChart(document.querySelector("#chart-spend canvas")).options.scales.x.ticks.color,
      getComputedStyle(document.body).backgroundColor,
    ]"""
    becomes = f"(wanted) => JSON.stringify(({seen})()) === JSON.stringify(wanted)"
    no_longer = f"(known) => ({seen})().every((one, n) => one !== known[n])"
    of_the_machine = page.evaluate(seen)
    page.emulate_media(color_scheme="light" if dark else "dark")
    page.wait_for_function(no_longer, arg=of_the_machine)
    of_the_other = page.evaluate(seen)
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.wait_for_function(becomes, arg=of_the_machine)
    # From "auto" first to what the machine does not say, then to what it says.
    for wanted in (of_the_other, of_the_machine):
        page.get_by_role("button", name=re.compile("theme", re.I)).click()
        page.wait_for_function(becomes, arg=wanted)


def test_the_home_keeps_itself_up_to_date(open_page: Open, service: Service) -> None:
    page = open_page("/admin/live/")
    page.clock.install()
    page.goto("/admin/?days=1")
    card = card_of(page, "Requests").locator("strong")
    before = int(card.inner_text().replace(",", ""))
    expect(page.locator("#chart-spend canvas")).to_be_visible()
    service.ask(f"One more, at {datetime.now(UTC)}?")
    page.clock.fast_forward(61_000)
    expect(card).to_have_text(f"{before + 1:,}")


def test_a_budget_burns_down(open_page: Open, shots: Path) -> None:
    page = open_page("/admin/")
    page.get_by_text("More charts").click()
    burning = page.locator("#burn-downs figure", has_text="All of it")
    expect(burning.locator("canvas")).to_have_attribute(
        "aria-label", re.compile(r"of \$0\.20.* left")
    )
    burning.get_by_role("link").click()
    expect(page.locator(".burn-down canvas")).to_have_attribute("aria-label", re.compile("left"))
    wait_for_pictures(page)
    shoot(page, shots / "budget.png")


def test_a_rolling_budget_shows_when_it_is_whole_again(open_page: Open) -> None:
    page = open_page("/admin/")
    page.get_by_text("More charts").click()
    picture = page.locator("#burn-downs figure", has_text="Any day").locator("canvas")
    expect(picture).to_have_attribute(
        "aria-label", re.compile(r"of \$0\.05.* left; all of it available")
    )
    lines = picture.evaluate("it => Chart.getChart(it).data.datasets.map((one) => one.label)")
    assert lines == ["Left", "If nothing more is spent"]


def test_live_shows_requests_as_they_come(open_page: Open, service: Service, shots: Path) -> None:
    page = open_page("/admin/live/")
    expect(page.get_by_role("status")).to_have_text("Live.")
    before = requests_today(page)
    asked = service.ask(f"{PROMPT} Live, at {datetime.now(UTC)}.", auto_route=True)
    row = page.locator("#happenings tbody tr").first
    expect(row.locator("a")).to_have_attribute("href", re.compile(str(asked["request_id"])))
    expect(page.locator("#requests")).to_have_text(f"{before + 1:,}")
    shoot(page, shots / "live.png")

    page.get_by_role("button", name="Pause").click()
    service.ask(f"Paused, at {datetime.now(UTC)}?")
    page.wait_for_timeout(500)
    expect(page.locator("#requests")).to_have_text(f"{before + 1:,}")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#requests")).to_have_text(f"{before + 2:,}")

    row = page.locator("#happenings tbody tr").first
    row.locator("a").click()
    expect(page.locator(".headline")).to_contain_text("Answered")


def test_a_minute_leads_to_its_requests(open_page: Open, service: Service) -> None:
    asked = service.ask(f"Which minute is it? {datetime.now(UTC)}")
    page = open_page("/admin/live/")
    canvas = page.locator("#minutes canvas")
    expect(page.locator("#minutes table a")).to_have_count(30)
    bar = canvas.evaluate(
        """(it) => {
          const chart = Chart.getChart(it);
          const spent = chart.data.datasets.findIndex((one) => one.label === "Spent");
          const last = chart.data.datasets[spent].data.findLastIndex((value) => value > 0);
          return chart.getDatasetMeta(spent).data[last].x;
        }"""
    )
    canvas.click(position={"x": bar, "y": 40})
    expect(page).to_have_url(re.compile("requestrecord.*created_at__gte"))
    expect(page.locator(f"#result_list a[href*='{asked['request_id']}']").first).to_be_visible()


def test_live_connects_again_after_the_network_was_away(open_page: Open, service: Service) -> None:
    page = open_page("/admin/live/")
    before = requests_today(page)
    page.context.set_offline(True)
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status")).to_contain_text("Reconnecting")
    service.ask(f"Meanwhile, at {datetime.now(UTC)}?")
    page.context.set_offline(False)
    expect(page.get_by_role("status")).to_have_text("Live.")
    expect(page.locator("#requests")).to_have_text(f"{before + 1:,}")


def test_a_decision_tells_its_story(open_page: Open, service: Service, shots: Path) -> None:
    asked = service.chat(f"{PROMPT} Told at {datetime.now(UTC)}.", "dora", "search")
    page = open_page(f"/admin/analytics/routingmetric/{asked}/change/")
    expect(page.locator(".headline")).to_contain_text("The baseline")
    for chapter in (
        "Request",
        "Analysis",
        "Decision",
        "Provider calls",
        "Cost and savings",
        "Ratings",
    ):
        expect(page.get_by_role("heading", name=chapter, exact=True)).to_be_visible()
    expect(page.locator(".parts tbody tr").first).to_contain_text("demanding work")
    wait_for_pictures(page)
    expect(page.locator(".candidates tr.chosen")).to_have_count(1)
    expect(page.locator(".said").last).to_have_text(ANSWER)
    shoot(page, shots / "decision.png")


def test_the_playground_compares_runs_and_learns(open_page: Open, shots: Path) -> None:
    page = open_page("/admin/playground/")
    page.fill("#prompt", PROMPT)
    page.get_by_role("button", name="Add an earlier turn").click()
    page.get_by_role("textbox", name="Earlier turn", exact=True).fill("We have two servers.")
    page.get_by_role("button", name="Compare strategies").click()
    for strategy in ("complexity", "learning", "hybrid", "cheapest", "best"):
        expect(page.get_by_role("rowheader", name=strategy, exact=True)).to_be_visible()
    wait_for_pictures(page)

    page.get_by_label("claude/claude-haiku-5-5").check()
    page.get_by_label("gemini/gemini-3.8-flash").check()
    page.get_by_role("button", name="Run").click()
    answers = page.locator(".answer")
    expect(answers).to_have_count(3)
    for answer in answers.all():
        expect(answer.locator("pre")).to_have_text(ANSWER)
        expect(answer.locator(".facts")).to_contain_text("tokens in")
    answers.nth(1).get_by_role("button", name="Good").click()
    expect(answers.nth(1).locator(".rating")).to_contain_text("Routing learns from it")
    shoot(page, shots / "playground.png")
    answers.nth(1).get_by_role("link", name="Decision details").click()
    expect(page.get_by_text("1.00 by operator")).to_be_visible()


def test_a_viewer_compares_and_cannot_run(open_page: Open) -> None:
    page = open_page("/admin/playground/", user="ann")
    page.get_by_role("button", name="Compare strategies").click()
    expect(page.get_by_role("rowheader", name="hybrid", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Run")).to_have_count(0)
    expect(page.get_by_text("needs the role analyst or operator")).to_be_visible()


def test_models_and_prices(open_page: Open, shots: Path) -> None:
    page = open_page("/admin/models/")
    row = page.locator("#catalogue tr:not(.off)", has_text="claude/claude-opus-5-5")
    expect(row).to_contain_text("genai-prices")
    page.get_by_role("link", name="Set a price for certain days").click()
    page.fill("#id_provider", "claude")
    page.fill("#id_model", "claude-opus-5-5")
    page.fill("#id_input", "3.5")
    page.fill("#id_output", "17")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()

    page.goto("/admin/models/")
    expect(row).to_contain_text("set here")
    expect(row).to_contain_text("$3.50")
    page.get_by_label("Model:").fill("claude/claude-haiku-5-5")
    page.get_by_label("Input:").fill("10")
    page.get_by_label("Output:").fill("20")
    page.get_by_role("button", name="Calculate").click()
    expect(page.get_by_role("row", name=re.compile("Difference"))).to_contain_text("$")
    shoot(page, shots / "models.png")


def test_getting_started_leads_to_the_first_request(
    open_page: Open, service: Service, shots: Path
) -> None:
    page = open_page("/admin/start/")
    row = page.locator("#providers tr", has_text="ANTHROPIC_API_KEY")
    row.get_by_role("button", name="Test connection").click()
    expect(row).to_contain_text("It answers.")
    page.get_by_role("button", name="Copy").first.click()
    assert "curl -s" in page.evaluate("navigator.clipboard.readText()")
    service.ask(f"Did it come, at {datetime.now(UTC)}?")
    expect(page.locator("#arrived")).to_contain_text("A request has arrived")
    shoot(page, shots / "start.png")
    page.locator("#arrived a").click()
    expect(page.locator(".headline")).to_be_visible()


def test_what_if_answers_on_replayed_traffic(open_page: Open, shots: Path) -> None:
    page = open_page("/admin/whatif/")
    page.get_by_role("button", name="Estimate").click()
    expect(page.get_by_text("Past requests are decided again")).to_be_visible()
    expect(page.locator(".estimate h2").first).to_be_visible()
    expect(page.get_by_text("Past requests are decided again")).to_have_count(0)
    # It goes on by itself until all are decided.
    expect(page.get_by_text("Estimated on")).to_be_visible(timeout=60_000)
    shoot(page, shots / "whatif.png")


def test_the_demo_is_made_shown_and_removed_by_clicks(open_page: Open, shots: Path) -> None:
    page = open_page("/admin/demo/")
    page.get_by_role("button", name="Make the demo").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    shoot(page, shots / "demo-making.png")
    # The page goes to the home page by itself.
    expect(page.get_by_text("These requests are made up")).to_be_visible(timeout=180_000)
    expect(page.locator("#headline")).to_contain_text("and saved $")
    expect(page.locator("#troubles")).to_contain_text("The budget Engineering, a month is used to")
    page.goto("/admin/?days=30")
    expect(page.locator("#chart-spend canvas")).to_be_visible()
    wait_for_pictures(page)
    shoot(page, shots / "demo.png")
    page.locator("#troubles").get_by_text("claude-opus-5-5").first.get_by_role("link").click()
    expect(page.locator("#result_list tbody tr").first).to_contain_text("claude-opus-5-5")
    page.goto("/admin/live/")
    expect(page.get_by_text("this page is about your real service")).to_be_visible()
    page.get_by_role("button", name="Show real requests").click()
    expect(page.get_by_text("The demo is on")).to_have_count(0)
    page.goto("/admin/demo/")
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("The demo is removed.")).to_be_visible()


def test_on_a_phone_the_tables_are_behind_a_button(open_page: Open, shots: Path) -> None:
    page = open_page("/admin/", width=390)
    tables = page.locator("#navigation")
    expect(tables).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    expect(tables).to_be_visible()
    shoot(page, shots / "menu-390.png")
    page.keyboard.press("Escape")
    expect(tables).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    tables.get_by_role("link", name="Sessions").click()
    expect(page).to_have_url(re.compile("agentsession"))
    expect(page.get_by_role("button", name="Menu")).to_be_visible()
