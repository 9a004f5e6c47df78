"""Models and prices: what operators set holds on its days, and what moved is not forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from analytics.access.roles import OPERATOR, VIEWER, roles_make
from analytics.access.versioned_rows import save_versioned
from analytics.models import PriceOverride, PriceSeen
from analytics.prices import CurrentPrice, price_changes, prices_record
from analytics.templatetags.analytics_format import rate, short
from optimizer.wiring.build import get_services
from optimizer.wiring.services import Services
from providers.completion import Usage
from providers.dated_prices import DatedPrice, DatedPrices
from tests.factories import PriceOverrideFactory, RequestRecordFactory, RoutingMetricFactory

TODAY = datetime.now(UTC).date()
TOMORROW, YESTERDAY = TODAY + timedelta(days=1), TODAY - timedelta(days=1)
MODEL = ("claude", "claude-haiku-5-5")
USAGE = Usage(1_000_000, 1_000_000)
PAGE = reverse("admin:models")


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch, db: None) -> Services:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "dummy-key-for-tests")
    services = get_services()
    services.price_service.refresh()
    return services


def begun(**changes: Any) -> PriceOverride:
    """One that holds since yesterday, as time makes them."""
    found: PriceOverride = PriceOverrideFactory(**changes)
    PriceOverride.objects.filter(pk=found.pk).update(valid_from=YESTERDAY)
    found.refresh_from_db()
    return found


class TestSettingAPrice:
    def test_it_holds_from_its_first_day_until_before_its_last(self, services: Services) -> None:
        table = services.prices.cost(*MODEL, USAGE)
        save_versioned(
            PriceOverrideFactory.build(input=Decimal(7), output=Decimal(8), valid_until=TOMORROW)
        )
        services.price_service.refresh()
        assert services.prices.cost(*MODEL, USAGE) == Decimal(15)
        for day in (YESTERDAY, TOMORROW):
            at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
            assert services.prices.cost(*MODEL, USAGE, at) == table
        assert services.prices.source(*MODEL) == "set here"

    def test_routing_reckons_with_it_at_once(self, services: Services) -> None:
        def price() -> Decimal | None:
            options = services.options.options()
            return next(o.input_price for o in options if (o.provider, o.model) == MODEL)

        before = price()
        save_versioned(PriceOverrideFactory.build(input=Decimal(77)))
        services.price_service.refresh()
        assert (before, price()) == (before, Decimal(77))
        assert before != Decimal(77)

    def test_an_alias_costs_what_its_model_does(self, services: Services) -> None:
        spec = next(spec for spec in services.catalogue.models if spec.aliases)
        save_versioned(
            PriceOverrideFactory.build(provider=spec.provider, model=spec.id, input=Decimal(3))
        )
        services.price_service.refresh()
        rates = services.prices.rates(spec.provider, spec.aliases[0])
        assert rates is not None
        assert rates.input.base == Decimal(3)

    def test_taking_it_back_gives_the_table_s_price_again(self, services: Services) -> None:
        table = services.prices.rates(*MODEL)
        override = PriceOverrideFactory(valid_from=TODAY, input=Decimal(9))
        services.price_service.refresh()
        assert services.prices.rates(*MODEL) != table
        override.delete()
        services.price_service.refresh()
        assert services.prices.rates(*MODEL) == table


@pytest.mark.django_db
class TestHistoryIsLeftAlone:
    def test_none_begins_in_the_past(self) -> None:
        with pytest.raises(
            ValidationError, match="The day is in the past: its costs are already recorded"
        ):
            save_versioned(PriceOverrideFactory.build(valid_from=YESTERDAY))

    def test_none_ends_before_it_begins(self) -> None:
        with pytest.raises(ValidationError, match="The end is before the start"):
            save_versioned(PriceOverrideFactory.build(valid_until=YESTERDAY))

    @pytest.mark.parametrize(
        "change", [{"input": Decimal(99)}, {"model": "claude-opus-5-5"}, {"valid_from": TODAY}]
    )
    def test_what_has_begun_keeps_its_price(self, change: dict[str, Any]) -> None:
        override = begun()
        for name, value in change.items():
            setattr(override, name, value)
        with pytest.raises(
            ValidationError, match="The price already applies. End it and add another"
        ):
            save_versioned(override)

    def test_what_has_begun_may_end_today_and_no_sooner(self) -> None:
        override = begun()
        override.valid_until = YESTERDAY
        with pytest.raises(ValidationError, match="choose today or later"):
            save_versioned(override)
        override.valid_until = TODAY
        save_versioned(override)

    def test_what_has_ended_does_not_begin_again(self) -> None:
        override = begun()
        PriceOverride.objects.filter(pk=override.pk).update(
            valid_from=YESTERDAY - timedelta(days=5), valid_until=YESTERDAY
        )
        override.refresh_from_db()
        override.valid_until = None
        with pytest.raises(ValidationError, match="The past is already recorded"):
            save_versioned(override)

    def test_two_do_not_hold_at_the_same_time(self) -> None:
        PriceOverrideFactory(valid_until=TOMORROW)
        with pytest.raises(ValidationError, match="Its days overlap with another price"):
            save_versioned(PriceOverrideFactory.build())
        save_versioned(PriceOverrideFactory.build(valid_from=TOMORROW))
        save_versioned(PriceOverrideFactory.build(model="claude-opus-5-5"))


DAYS = st.dates(date(2026, 1, 1), date(2026, 1, 20))
SPANS = st.lists(st.tuples(DAYS, st.none() | DAYS), max_size=6)


@given(SPANS, DAYS)
def test_a_day_has_the_price_that_was_set_for_it(
    spans: list[tuple[date, date | None]], day: date
) -> None:
    prices = DatedPrices()
    dated = [
        DatedPrice("p", "m", {"input": Decimal(n)}, since, until)
        for n, (since, until) in enumerate(spans)
    ]
    prices.replace(dated)
    found = prices.on("p", "m", day)
    holding = [one.price for one in dated if one.since <= day < (one.until or date.max)]
    assert (found in holding) if holding else found is None
    assert prices.on("p", "other", day) is None


@pytest.mark.django_db
class TestWhatMoved:
    NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)

    def found(self, price: str, **changes: Any) -> CurrentPrice:
        units = {"input": Decimal(price), "output": Decimal(2)}
        fields: dict[str, Any] = {"provider": "p", "model": "m", "source": "genai-prices",
                                  "price": units, **changes}  # fmt: skip
        return CurrentPrice(**fields)

    def test_only_changes_are_written_down(self) -> None:
        for n, price in enumerate(("1", "1.00", "3")):
            prices_record([self.found(price)], self.NOW + timedelta(hours=n))
        rows = list(PriceSeen.objects.order_by("seen_at").values_list("input", "first"))
        assert rows == [(Decimal(1), True), (Decimal(3), False)]

    def test_two_workers_write_it_down_once(self) -> None:
        prices_record([self.found("1")], self.NOW)
        PriceSeen.objects.update(input=Decimal(9))  # as the other worker read it before
        prices_record([self.found("1")], self.NOW)
        assert PriceSeen.objects.count() == 1

    def test_a_price_that_is_lost_is_a_change(self) -> None:
        prices_record([self.found("1")], self.NOW)
        lost = replace(self.found("1"), price={}, source="unknown")
        prices_record([lost], self.NOW + timedelta(hours=1))
        (move,) = price_changes(self.NOW)
        assert (move.before.words, move.after.words) == ("$1.00 in, $2.00 out", "unknown")

    def test_long_requests_count_too(self) -> None:
        prices_record([self.found("1")], self.NOW)
        steps = [(100_000, Decimal(5), Decimal(9))]
        later = self.NOW + timedelta(hours=1)
        assert len(prices_record([self.found("1", steps=steps)], later)) == 1
        assert prices_record([self.found("1", steps=steps)], later + timedelta(hours=1)) == []

    def test_every_model_of_the_catalogue_is_followed(self, services: Services) -> None:
        services.price_service.note()
        services.price_service.note()
        # Models that are billed by other units than tokens are left out.
        followed = {(seen.provider, seen.model) for seen in PriceSeen.objects.all()}
        left_out = {
            m.ref for m in services.catalogue.all_models if (m.provider, m.id) not in followed
        }
        assert PriceSeen.objects.count() == len(services.catalogue.all_models) - len(left_out)
        assert {"openai/whisper-1", "openai/tts-1"} <= left_out
        assert not left_out & {m.ref for m in services.catalogue.models}
        assert services.price_service.changes() == []


class TestWhatAnotherPriceWouldDo:
    def test_the_month_is_priced_request_by_request(self, services: Services) -> None:
        for n in (1, 2, 3):
            usage = Usage(1000 * n, 500 * n, cache_read_tokens=100 * n)
            cost = services.prices.cost(*MODEL, usage)
            RequestRecordFactory(
                provider=MODEL[0], model=MODEL[1], tokens_in=1000 * n, tokens_out=500 * n,
                cache_read_tokens=100 * n, cache_write_tokens=0, cost=cost, failed_cost=0,
            )  # fmt: skip
        RequestRecordFactory(provider=MODEL[0], model=MODEL[1], cache_hit=True, cost=0)
        RequestRecordFactory(provider=MODEL[0], model=MODEL[1], status="error", cost=0)
        new = {"input": Decimal(2), "output": Decimal(4), "cache_read": Decimal(1)}
        effect = services.price_service.effect(*MODEL, new)
        assert (effect.requests, effect.unpriced) == (3, 0)
        assert effect.charged == effect.now
        assert effect.new == Decimal(6 * (900 * 2 + 100 * 1 + 500 * 4)) / 1_000_000
        assert effect.difference == effect.new - effect.now

    def test_a_model_without_a_price_has_an_effect_too(self, services: Services) -> None:
        RequestRecordFactory(
            provider="claude", model="unheard-of", tokens_in=1_000_000, tokens_out=0, cost=None
        )
        effect = services.price_service.effect(
            "claude", "unheard-of", {"input": Decimal(1), "output": Decimal(1)}
        )
        assert (effect.now, effect.unpriced, effect.new) == (None, 1, Decimal(1))


class TestThePages:
    def test_the_catalogue_with_prices_and_use(
        self, services: Services, admin_client: Client
    ) -> None:
        page = admin_client.get(PAGE).content.decode()
        assert "claude/claude-haiku-5-5" in page
        assert "No price has changed." in page
        for spec in services.catalogue.models:
            assert spec.ref in page

    def test_what_has_no_price_is_warned_of(
        self, services: Services, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(type(services.prices), "source", lambda *_: "unknown")
        monkeypatch.setattr(type(services.prices), "deprecated", lambda *_: True)
        page = admin_client.get(PAGE).content.decode()
        assert "No price is known for claude/claude-haiku-5-5" in page
        assert "claude/claude-haiku-5-5 is deprecated" in page
        assert "No price is known for openai/" not in page  # not configured

    def test_a_move_leads_to_its_effect(self, services: Services, admin_client: Client) -> None:
        services.price_service.note()
        earlier = datetime.now(UTC) - timedelta(days=2)
        PriceSeen.objects.update(seen_at=earlier)
        save_versioned(PriceOverrideFactory.build(input=Decimal(50), output=Decimal(60)))
        services.price_service.refresh()
        services.price_service.note()
        RoutingMetricFactory(request__provider=MODEL[0], request__model=MODEL[1])
        page = admin_client.get(PAGE).content.decode()
        assert "$50.00 in, $60.00 out" in page
        assert "genai-prices → set here" in page
        query = "?of=claude/claude-haiku-5-5&input=1&output=2&cache_read=&cache_write="
        assert "1 request, with the same choice" in admin_client.get(PAGE + query).content.decode()

    @pytest.mark.parametrize(
        "query", ["?of=x&input=1&output=1", "?of=claude/m", "?of=claude/m&input=-1&output=x"]
    )
    def test_nonsense_is_said_at_its_field(
        self, services: Services, admin_client: Client, query: str
    ) -> None:
        response = admin_client.get(PAGE + query)
        assert response.status_code == 200
        assert b"errorlist" in response.content

    def test_an_operator_sets_a_price_and_a_viewer_does_not(self, services: Services) -> None:
        roles_make()
        person = User.objects.create_user("ann", is_staff=True)
        client = Client()
        client.force_login(person)
        add = reverse("admin:analytics_priceoverride_add")
        assert client.get(PAGE).status_code == 403
        person.groups.set(Group.objects.filter(name=VIEWER))
        assert client.get(PAGE).status_code == 200
        assert client.get(add).status_code == 403
        person.groups.set(Group.objects.filter(name=OPERATOR))
        fields = {"provider": "claude", "model": "nonsense", "input": "1", "output": "2",
                  "valid_from": str(TODAY)}  # fmt: skip
        assert "The catalogue has no claude/nonsense" in client.post(add, fields).content.decode()
        assert client.post(add, fields | {"model": MODEL[1]}).status_code == 302
        assert services.prices.source(*MODEL) == "set here"

    def test_what_holds_is_ended_not_deleted(
        self, services: Services, admin_client: Client
    ) -> None:
        override = begun()
        change = reverse("admin:analytics_priceoverride_change", args=[override.pk])
        delete = reverse("admin:analytics_priceoverride_delete", args=[override.pk])
        assert admin_client.post(delete, {"post": "yes"}).status_code == 403
        assert (
            admin_client.post(change, {"input": "99", "valid_until": str(TODAY)}).status_code == 302
        )
        override.refresh_from_db()
        assert (override.input, override.valid_until) == (Decimal(1), TODAY)
        planned = PriceOverrideFactory(valid_from=TOMORROW)
        delete = reverse("admin:analytics_priceoverride_delete", args=[planned.pk])
        assert admin_client.post(delete, {"post": "yes"}).status_code == 302


def test_how_rates_and_sizes_are_written() -> None:
    rates = [rate(Decimal(text)) for text in ("0.1", "0.0042", "1200", "10.50", "0")]
    assert rates == ["$0.10", "$0.0042", "$1,200.00", "$10.50", "$0.00"]
    assert rate(None) == "unknown"
    assert [short(n) for n in (999, 8192, 131_072, 1_050_000)] == [
        "999",
        "8.19 k",
        "131 k",
        "1.05 M",
    ]


def test_the_page_names_the_best_model_and_those_not_worth_their_price(
    services: Services, admin_client: Client
) -> None:
    page = admin_client.get(PAGE).content.decode()
    assert "Best single model by published results: claude/claude-opus-5-5" in page
    assert "claude/claude-haiku-4-5 (claude/claude-haiku-5-5)" in page
    assert "gpt-6.1-sol (" not in page  # its provider is not configured
