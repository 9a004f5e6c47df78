"""The picker of the baseline: on every page and API that shows savings, one choice for all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
import yaml
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from analytics.access.keys import key_make
from analytics.ledger.daily_totals import totals_add
from analytics.models import AgentSession, ApiKey, RequestRecord, RoutingMetric, Team
from analytics.money_shown import rounded_dollars
from optimizer.wiring.build import get_services
from tests.factories import RequestRecordFactory, RoutingMetricFactory

D = Decimal
OPUS = "claude/claude-opus-5-5"
COST = D("0.001")
NOW = datetime.now(UTC)


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:{name}", args=args)


def decided(**fields: Any) -> RoutingMetric:
    """A request of a thousand tokens each way, in a session."""
    request = RequestRecordFactory(
        created_at=NOW, tokens_in=1000, tokens_out=1000, cost=COST, savings=D("0.0004"),
        session_id="run", tenant="", user_id="ann", requested_model="gpt-5", **fields,
    )  # fmt: skip
    return RoutingMetricFactory(request=request, baseline_cost=D("0.0014"))


def on_opus() -> Decimal:
    rates = get_services().prices.rates(*OPUS.split("/"), NOW)
    assert rates is not None
    return (rates.input.at(0) * 1000 + (rates.output or rates.input).at(0) * 1000) / 1_000_000


@pytest.fixture
def decision(db: None) -> RoutingMetric:
    decision = decided()
    totals_add([(decision.request, decision)])
    AgentSession.objects.create(
        session_id="run", tenant="", started_at=NOW, last_at=NOW, requests=1, cost=COST,
        savings=D("0.0004"),
    )  # fmt: skip
    return decision


def pages(decision: RoutingMetric) -> list[str]:
    session = AgentSession.objects.get()
    return [
        page("index"),
        page("live"),
        page("analytics_routingmetric_changelist"),
        page("analytics_routingmetric_change", decision.pk),
        page("analytics_requestrecord_changelist"),
        page("analytics_requestrecord_change", decision.pk),
        page("analytics_agentsession_changelist"),
        page("analytics_agentsession_change", session.pk),
        page("analytics_dailytotal_changelist"),
    ]


def test_each_page_that_shows_savings_has_the_picker(
    admin_client: Client, decision: RoutingMetric
) -> None:
    for address in pages(decision):
        shown = admin_client.get(address)
        assert shown.status_code == 200, address
        text = shown.content.decode()
        assert '<select id="baseline" name="baseline">' in text, address
        assert '<option value="recorded" selected>' in text, address
        assert '<option value="complexity">' in text, address
        before = text[: text.index('<form method="get" class="baseline-picker">')]
        # A form within another is none: browsers drop its tag.
        assert before.count("<form") == before.count("</form>"), address


def test_each_page_compares_with_what_is_picked(
    admin_client: Client, decision: RoutingMetric
) -> None:
    saved = rounded_dollars(on_opus() - COST)
    for address in pages(decision)[2:]:
        assert saved not in admin_client.get(address).content.decode(), address
        text = admin_client.get(address, {"baseline": OPUS}).content.decode()
        assert f'<option value="{OPUS}" selected>' in text, address
        assert saved in text, address
        admin_client.cookies.pop("optimizer_baseline")


def test_what_was_picked_on_one_page_counts_on_the_others(
    admin_client: Client, decision: RoutingMetric
) -> None:
    admin_client.get(page("index"), {"baseline": OPUS})
    for address in pages(decision):
        assert f'<option value="{OPUS}" selected>' in admin_client.get(address).content.decode()
    admin_client.get(page("analytics_requestrecord_changelist"), {"baseline": "recorded"})
    assert '<option value="recorded" selected>' in admin_client.get(page("index")).content.decode()


def test_what_a_script_loads_picks_nothing(admin_client: Client, decision: RoutingMetric) -> None:
    admin_client.get(page("charts"), {"baseline": OPUS}, headers={"sec-fetch-mode": "cors"})
    assert "optimizer_baseline" not in admin_client.cookies


def test_an_unknown_name_is_the_recorded_baseline(
    admin_client: Client, decision: RoutingMetric
) -> None:
    shown = admin_client.get(page("analytics_requestrecord_changelist"), {"baseline": "nonsense"})
    assert '<option value="recorded" selected>' in shown.content.decode()
    assert admin_client.cookies["optimizer_baseline"].value == "recorded"


def test_the_picker_keeps_filters_and_search(admin_client: Client, decision: RoutingMetric) -> None:
    query = {"status__exact": "ok", "q": str(decision.pk), "baseline": OPUS}
    text = admin_client.get(page("analytics_requestrecord_changelist"), query).content.decode()
    assert '<input type="hidden" name="status__exact" value="ok">' in text
    assert f'<input type="hidden" name="q" value="{decision.pk}">' in text
    assert f'<input type="hidden" name="baseline" value="{OPUS}">' in text  # of the search
    assert "1 request" in text


def test_charts_and_lists_of_the_home_page_agree_with_its_card(
    admin_client: Client, decision: RoutingMetric
) -> None:
    for name in ("recorded", "complexity", "requested", OPUS):
        query = {"days": 30, "baseline": name}
        line = admin_client.get(page("index"), query).context["room"]["headline"]
        charts = json.loads(admin_client.get(page("charts"), query).content)["charts"]
        (spend,) = [chart for chart in charts if chart["id"] == "spend"]
        saved = next(series for series in spend["series"] if series["name"] == "Saved")
        (causes,) = [chart for chart in charts if chart["id"] == "causes"]
        by_cause = sum(D(value) for series in causes["series"] for value in series["values"])
        total = sum(D(value) for value in saved["values"])
        assert total == by_cause
        assert line.saved == rounded_dollars(abs(total))
        assert line.worse == (total < 0)
        whose = admin_client.get(page("whose"), query).context["lists"]
        assert {row["saved"] for _, _, rows in whose for row in rows} == {total}
        providers = admin_client.get(page("details"), query).context["providers"]
        assert sum(row.saved for row in providers) == total


def test_the_list_of_decisions_sums_up_what_is_picked(
    admin_client: Client, decision: RoutingMetric
) -> None:
    address = page("analytics_routingmetric_changelist")
    recorded = admin_client.get(address).context["savings"]
    assert [row["label"] for row in recorded][-1] == "All time"
    picked = admin_client.get(address, {"baseline": OPUS}).context["savings"]
    assert [row["label"] for row in picked] == ["Today", "Last 7 days", "Last 30 days"]
    assert {row["saved"] for row in picked} == {on_opus() - COST}
    assert {row["spent"] for row in picked} == {COST}


def test_a_request_that_cannot_be_compared_has_no_savings(
    admin_client: Client, decision: RoutingMetric
) -> None:
    text = admin_client.get(
        page("analytics_routingmetric_change", decision.pk), {"baseline": "complexity"}
    ).content.decode()
    assert "The cost of the baseline is unknown." in text


def test_a_statement_compares_with_what_is_named(decision: RoutingMetric, capsys: Any) -> None:
    for extra in ([], ["--name", "ann"]):
        call_command(
            "statement", "--month", f"{NOW:%Y-%m}", "--format", "json", "--baseline", OPUS, *extra
        )
        told = json.loads(capsys.readouterr().out)
        assert told["baseline"] == f"always {OPUS}"
        row = told["total"] if extra else told["rows"][0]
        assert row["saved"] == pytest.approx(float(on_opus() - COST))
        if extra:
            assert [one["saved"] for one in (*told["models"], *told["days"])] == [row["saved"]] * 2


@pytest.mark.django_db(transaction=True)
class TestApi:
    @pytest.fixture
    async def known(self, client: httpx.AsyncClient) -> httpx.AsyncClient:
        def make() -> None:
            decided()
            decided(sub_agent="helper")
            RequestRecord.objects.update(tenant="team:red")
            decided()
            for name, tenant, count in (("", "team:red", 2), ("helper", "team:red", 1)):
                AgentSession.objects.create(
                    session_id="run", sub_agent=name, tenant=tenant, started_at=NOW, last_at=NOW,
                    requests=count, cost=COST * count, savings=D("0.0004") * count,
                )  # fmt: skip

        await sync_to_async(make)()
        return client

    async def test_each_report_compares_with_what_the_query_names(
        self, known: httpx.AsyncClient
    ) -> None:
        each = float(on_opus() - COST)
        metrics = (await known.get("/routing/metrics", params={"baseline": OPUS})).json()
        assert metrics["cost_savings"]["baseline"] == f"always {OPUS}"
        assert metrics["cost_savings"]["total_saved"] == pytest.approx(3 * each)
        stats = (await known.get("/stats", params={"baseline": OPUS})).json()
        assert stats["overall"]["total_savings"] == pytest.approx(3 * each)
        assert (await known.get("/stats")).json()["overall"]["total_savings"] == pytest.approx(
            0.0012
        )
        told = (await known.get("/v1/sessions/run", params={"baseline": OPUS})).json()
        assert told["savings"] == pytest.approx(2 * each)
        assert [row["savings"] for row in told["sub_agents"]] == [pytest.approx(each)]
        assert [call["savings"] for call in told["calls"]] == [pytest.approx(each)] * 2

    async def test_a_tenant_compares_its_own_requests_only(self, known: httpx.AsyncClient) -> None:
        def key() -> str:
            team = Team.objects.create(name="red")
            return key_make(ApiKey(name="red", team=team)).secret

        headers = {"authorization": f"Bearer {await sync_to_async(key)()}"}
        await sync_to_async(get_services().api_keys.refresh)()
        each = float(on_opus() - COST)
        for path, figure in (("/routing/metrics", "cost_savings"), ("/stats", "overall")):
            reply = await known.get(path, params={"baseline": OPUS}, headers=headers)
            figures = reply.json()[figure]
            saved = figures.get("total_saved", figures.get("total_savings"))
            assert saved == pytest.approx(2 * each), path

    @pytest.mark.parametrize("path", ["/routing/metrics", "/stats", "/v1/sessions/run"])
    async def test_an_unknown_baseline_is_refused(
        self, known: httpx.AsyncClient, path: str
    ) -> None:
        reply = await known.get(path, params={"baseline": "nope"})
        assert reply.status_code == 400
        assert "complexity" in reply.text

    async def test_the_schema_documents_the_parameter(self, client: httpx.AsyncClient) -> None:
        paths = yaml.safe_load((await client.get("/schema")).text)["paths"]
        for path in ("/v1/routing/metrics", "/v1/stats", "/v1/sessions/{session_id}"):
            operation = next(at["get"] for name, at in paths.items() if name.endswith(path))
            assert "baseline" in {one["name"] for one in operation["parameters"]}, path
