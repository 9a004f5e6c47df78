"""Which model a request is compared with."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured

from analytics.ledger.savings import cost_savings
from analytics.models import RoutingMetric
from optimizer.pricing.baseline_choice import BaselineChoice, dearest_model
from optimizer.pricing.baselines import Baselines
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.server import FakeProvider

NAMED, DEFAULT = "claude-haiku-5-5", "claude-sonnet-5-5"


async def ask(client: Any, model: str, **optimizer: Any) -> RoutingMetric:
    body: dict[str, Any] = {
        "model": model, "messages": [{"role": "user", "content": "What is the capital of France?"}],
    }  # fmt: skip
    if optimizer:
        body["optimizer"] = optimizer
    response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    await get_services().routing.drain()
    return await RoutingMetric.objects.order_by("-created_at").afirst()


@pytest.fixture
def begin(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings: Any
) -> Start:
    settings.RESPONSE_CACHE = False
    return start


class TestRecorded:
    @pytest.mark.parametrize(
        ("setting", "model", "optimizer", "baseline"),
        [
            (DEFAULT, NAMED, {}, NAMED),
            (DEFAULT, "auto:complexity", {}, DEFAULT),
            (DEFAULT, NAMED, {"baseline": "claude-opus-5-5"}, "claude-opus-5-5"),
            ("", NAMED, {}, NAMED),
            ("complexity", NAMED, {}, NAMED),
        ],
    )
    async def test_it_is_what_the_client_names_else_what_the_operator_chose(
        self, begin: Any, settings: Any, setting: str, model: str, optimizer: Any, baseline: str
    ) -> None:
        settings.BASELINE_MODEL = setting
        metric = await ask(await begin(), model, **optimizer)
        assert metric.baseline_model == baseline
        assert metric.baseline_cost == metric.actual_cost + metric.routing_saved

    async def test_without_a_choice_it_is_the_dearest_of_the_highest_tier(
        self, begin: Any, settings: Any
    ) -> None:
        settings.BASELINE_MODEL = ""
        client = await begin()
        metric = await ask(client, "auto:complexity")
        services = get_services()
        expected = dearest_model(services.catalogue, services.caller, services.prices)
        assert (metric.baseline_provider, metric.baseline_model) == expected
        tops = [
            spec
            for spec in services.catalogue.models
            if spec.tier == "complex" and spec.provider in services.caller.providers
        ]
        prices = [services.prices.rates(spec.provider, spec.id) for spec in tops]
        dearest = services.prices.rates(*expected)
        assert dearest is not None
        assert metric.routing_saved > 0
        for rates in prices:
            if rates is not None:
                cost = 3 * rates.input.at(0) + (rates.output or rates.input).at(0)
                most = 3 * dearest.input.at(0) + (dearest.output or dearest.input).at(0)
                assert cost <= most

    async def test_complexity_s_choice_stays_available_in_reports(
        self, begin: Any, settings: Any
    ) -> None:
        settings.BASELINE_MODEL = DEFAULT
        client = await begin()
        for _ in range(3):
            await ask(client, "auto:complexity")
        services = get_services()
        baselines = Baselines(services.names, services.prices, services.baselines)

        def saved(name: str) -> tuple[Decimal, str]:
            compared = baselines.named(name)
            found = cost_savings(datetime(2020, 1, 1, tzinfo=UTC), sums=compared.sums())
            return found["total_saved"], compared.label

        assert (await sync_to_async(saved)("complexity")) == (Decimal(0), "complexity's choice")
        recorded, label = await sync_to_async(saved)("recorded")
        assert recorded > 0
        assert label == f"as recorded; new requests: the model asked for, else claude/{DEFAULT}"

    async def test_rows_recorded_with_another_setting_are_not_called_complexity_s_choice(
        self, begin: Any, settings: Any
    ) -> None:
        settings.BASELINE_MODEL = DEFAULT
        client = await begin()
        await ask(client, "auto:complexity")
        services = get_services()
        now_complexity = BaselineChoice(services.names, None, complexity=True)
        baselines = Baselines(services.names, services.prices, now_complexity)

        def saved(name: str) -> tuple[Decimal, str]:
            compared = baselines.named(name)
            found = cost_savings(datetime(2020, 1, 1, tzinfo=UTC), sums=compared.sums())
            return found["total_saved"], compared.label

        assert (await sync_to_async(saved)("complexity")) == (Decimal(0), "complexity's choice")
        recorded, label = await sync_to_async(saved)("recorded")
        assert recorded > 0
        assert label == "as recorded; new requests: complexity's choice"


def test_an_unknown_one_is_refused_at_the_start(settings: Any) -> None:
    settings.BASELINE_MODEL = "no-such-model"
    with pytest.raises(ImproperlyConfigured, match=r"BASELINE_MODEL: .*no-such-model"):
        get_services()
