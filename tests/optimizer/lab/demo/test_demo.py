"""The demo: made by a process of its own, shown from its own file, and never mixed with real data.

The demo is made once by the real command, for all processes that run these tests.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.db.models import Sum
from django.test import Client
from django.urls import reverse

from analytics.database.demo import demo_folder, is_reading_demo, reading_demo
from analytics.ledger.rollups import totals_differ
from analytics.models import (
    AgentSession,
    Alert,
    Budget,
    Comparison,
    DailyTotal,
    Experiment,
    Feedback,
    LearnedEvidence,
    RequestRecord,
    RoutingMetric,
)
from analytics.quality.evidence import evidence_load
from analytics.reports.report import routing_report
from optimizer.lab.demo.file import demo_state
from optimizer.wiring.build import get_services
from tests.factories import BudgetFactory, RoutingMetricFactory

pytestmark = pytest.mark.django_db
ROOT = Path(settings.BASE_DIR)
HOME, DEMO = reverse("admin:index"), reverse("admin:demo")
BANNER = "These requests are made up"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small demo, made by the command as an operator runs it."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = shared / "made-demo"
    with (shared / "made-demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _make(folder)
    return folder


def _make(folder: Path) -> None:
    making = folder.with_suffix(".part")
    making.mkdir()
    environment = {
        **os.environ, "DATA_DIR": str(making), "DJANGO_SETTINGS_MODULE": "optimizer.settings",
        "DATABASE_URL": f"sqlite:///{making}/real.sqlite3", "STORE_PROMPTS": "none",
        "OPENAI_API_KEY": "sk-not-to-be-used",
    }  # fmt: skip
    command = [sys.executable, "manage.py", "demo", "--requests", "400", "--days", "40"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "The demo is ready" in ended.stdout
    # The real database was not even created.
    assert not (making / "real.sqlite3").exists()
    assert [path.name for path in (making / "demo").glob("*") if path.is_dir()] == []
    making.rename(folder)


@pytest.fixture
def demo(made: Path, tmp_path: Path, settings: Any) -> Path:
    """The demo in the folder of this test's service."""
    shutil.copytree(made / "demo", tmp_path / "demo")
    settings.DATA_DIR = tmp_path
    return tmp_path / "demo"


def rows_of_all_tables() -> dict[str, list[Any]]:
    """Every row of the ledger's real tables."""
    return {
        model.__name__: list(model._default_manager.order_by("pk").values())
        for model in apps.get_app_config("analytics").get_models()
    }


def _observed(services: Any) -> Any:
    """What routing has learned of the model that answers most of the demo."""
    return services.evidence.posterior().observed("factual", "simple", "claude", "claude-haiku-5-5")


def sums(days: int) -> dict[str, Any]:
    report = routing_report(days)
    return {name: report[name] for name in ("totals", "savings", "cache")}


class TestContents:
    def test_it_has_what_pages_show(self, demo: Path) -> None:
        with reading_demo():
            assert 300 < RequestRecord.objects.count() < 600
            assert RequestRecord.objects.filter(cache_hit=True).exists()
            assert RequestRecord.objects.filter(status="refused").exists()
            assert RequestRecord.objects.exclude(attempts=[]).exists()
            assert AgentSession.objects.exclude(agent="chat").exists()
            assert Comparison.objects.filter(source="judge").exists()
            assert Feedback.objects.exists()
            assert Experiment.objects.get().status == "stopped"
            assert Budget.objects.count() == 3
            assert Alert.objects.exists()
            prompts = RequestRecord.objects.admitted().values_list("prompt", flat=True)
            assert all(prompts)  # whatever the service stores of real prompts

    def test_costs_are_those_of_the_price_table(self, demo: Path) -> None:
        prices = get_services().prices
        with reading_demo():
            rows = list(
                RequestRecord.objects.filter(
                    cache_hit=False, status="ok", failed_cost=0, cache_read_tokens=0,
                    cache_write_tokens=0,
                )[:50]
            )  # fmt: skip
        for row in rows:
            rates = prices.rates(row.provider, row.model)
            assert rates is not None
            assert rates.output is not None
            expected = (
                row.tokens_in * rates.input.at(row.tokens_in)
                + row.tokens_out * rates.output.at(row.tokens_in)
            ) / 1_000_000
            assert row.cost == expected

    def test_its_sums_agree_with_its_rows(self, demo: Path) -> None:
        with reading_demo():
            assert list(totals_differ()) == []
            by_day = DailyTotal.objects.aggregate(all=Sum("requests"))["all"]
            assert by_day == RequestRecord.objects.admitted().count()
            for decision in RoutingMetric.objects.exclude(routing_saved=None)[:200]:
                saved = decision.routing_saved + decision.cache_saved
                assert decision.baseline_cost == decision.actual_cost + saved


class TestApart:
    def test_real_sums_are_the_same_to_the_cent_with_and_without_it(
        self, demo: Path, admin_client: Client
    ) -> None:
        BudgetFactory(limit=Decimal(5))
        RoutingMetricFactory.create_batch(5, request__cost=Decimal("0.0123456789"))
        before, rows, learned = sums(30), rows_of_all_tables(), evidence_load()
        admin_client.post(reverse("admin:demo_show"), {"on": "1"})
        assert BANNER in admin_client.get(HOME).content.decode()
        for name in ("charts", "details", "whose", "tools", "analytics_requestrecord_changelist"):
            assert admin_client.get(reverse(f"admin:{name}")).status_code == 200
        assert sums(30) == before
        assert rows_of_all_tables() == rows
        assert evidence_load() == learned
        call_command("demo", "--remove")
        assert sums(30) == before
        assert rows_of_all_tables() == rows

    def test_nothing_can_be_written_to_it(self, demo: Path) -> None:
        with reading_demo():
            for write in (
                lambda: Budget.objects.create(name="more", limit=Decimal(1)),
                lambda: Budget.objects.update(limit=Decimal(1)),
                lambda: LearnedEvidence.objects.all().delete(),
            ):
                with pytest.raises(DatabaseError, match="readonly"):
                    write()

    def test_what_decides_is_never_read_from_it(self, demo: Path, admin_client: Client) -> None:
        services = get_services()
        services.evidence.refresh()
        before = _observed(services)
        admin_client.post(reverse("admin:demo_show"), {"on": "1"})
        for address in (reverse("admin:models"), reverse("admin:playground")):
            page = admin_client.get(address, {"policy": "hybrid", "days": "30"})
            assert page.status_code == 200
            assert BANNER not in page.content.decode()
        services.evidence.refresh()
        assert _observed(services) == before
        assert not is_reading_demo()

    def test_what_if_decides_the_requests_of_the_demo(
        self, demo: Path, admin_client: Client
    ) -> None:
        """In dollars a month, on the models of the made-up company, with its guarantee."""
        services = get_services()
        before = _observed(services)
        asked = {"policy": ["claude-haiku-5-5", "best"], "days": "30", "named": "on"}
        page = admin_client.get(reverse("admin:whatif"), {**asked, "whole": 1})
        assert BANNER in page.content.decode()
        cheap, best = page.context["estimates"]
        assert cheap["monthly"].cheaper
        assert best["monthly"].before == cheap["monthly"].before
        assert "claude-opus-5-5" in page.context["guarantee"][0]
        assert page.context["mix"]
        assert _observed(services) == before

    def test_a_page_of_it_changes_and_exports_nothing(
        self, demo: Path, admin_client: Client
    ) -> None:
        admin_client.post(reverse("admin:demo_show"), {"on": "1"})
        with reading_demo():
            budget = Budget.objects.first()
        assert budget is not None
        real = BudgetFactory(pk=budget.pk, name="real", limit=Decimal(9))
        page = reverse("admin:analytics_budget_change", args=[budget.pk])
        assert budget.name in admin_client.get(page).content.decode()
        for response in (
            admin_client.post(page, {"name": "changed", "limit": "1"}),
            admin_client.post(reverse("admin:analytics_budget_delete", args=[budget.pk])),
            admin_client.get(reverse("admin:analytics_requestrecord_export")),
        ):
            assert response.status_code == 403
            assert b"nothing on it can be changed" in response.content
        real.refresh_from_db()
        assert (real.name, real.limit) == ("real", Decimal(9))


class TestSwitch:
    def test_it_is_shown_while_there_are_no_requests(
        self, demo: Path, admin_client: Client
    ) -> None:
        assert BANNER in admin_client.get(HOME).content.decode()
        RoutingMetricFactory()
        assert BANNER not in admin_client.get(HOME).content.decode()

    def test_a_user_switches_it_for_themselves(self, demo: Path, admin_client: Client) -> None:
        RoutingMetricFactory()
        admin_client.post(reverse("admin:demo_show"), {"on": "1"})
        assert BANNER in admin_client.get(HOME).content.decode()
        other = Client()
        other.force_login(User.objects.create_superuser("other"))
        assert BANNER not in other.get(HOME).content.decode()
        page = admin_client.get(reverse("admin:live")).content.decode()
        assert "this page is about your real service" in page
        back = {"on": "0", "back": reverse("admin:tools")}
        assert admin_client.post(reverse("admin:demo_show"), back)["Location"] == back["back"]
        assert BANNER not in admin_client.get(HOME).content.decode()
        foreign = {"on": "0", "back": "https://example.com/"}
        assert admin_client.post(reverse("admin:demo_show"), foreign)["Location"] == HOME

    def test_every_page_of_it_works(self, demo: Path, admin_client: Client) -> None:
        with reading_demo():
            request = RequestRecord.objects.admitted().first()
            session = AgentSession.objects.first()
            experiment = Experiment.objects.get()
        assert request is not None
        assert session is not None
        for name in (
            "requestrecord", "agentsession", "routingmetric", "cachedresponse", "dailytotal",
            "refusaltotal", "routingrule", "rulechange", "experiment", "feedback", "comparison",
            "learnedevidence", "budget", "budgethold", "priceoverride", "priceseen",
            "providerstatementline", "reconciledestimate", "ledgerday", "alertrule", "alert",
            "apikey", "team", "project",
        ):  # fmt: skip
            page = admin_client.get(reverse(f"admin:analytics_{name}_changelist"))
            assert page.status_code == 200, name
            assert BANNER in page.content.decode(), name
        for name, pk in (
            ("requestrecord", request.pk), ("routingmetric", request.pk),
            ("agentsession", session.pk), ("experiment", experiment.pk),
        ):  # fmt: skip
            page = admin_client.get(reverse(f"admin:analytics_{name}_change", args=[pk]))
            assert page.status_code == 200, name
        tagged = reverse("admin:analytics_requestrecord_changelist") + "?tag=help-bot"
        assert admin_client.get(tagged).context["cl"].result_count > 10

    def test_a_demo_of_other_tables_is_not_shown(self, demo: Path, admin_client: Client) -> None:
        (file,) = demo.glob("*.sqlite3")
        file.rename(demo / "demo-0001_initial.sqlite3")
        assert BANNER not in admin_client.get(HOME).content.decode()
        assert admin_client.get(DEMO).context["state"].phase == "absent"


class TestMaking:
    def test_only_those_who_may_ask_models_make_and_remove_it(self, demo: Path) -> None:
        client = Client()
        client.force_login(User.objects.create_user("ann", is_staff=True))
        for name in ("demo_make", "demo_delete", "demo_show"):
            assert client.post(reverse(f"admin:{name}")).status_code == 403
        assert client.get(DEMO).status_code == 403
        assert demo.exists()

    def test_it_is_removed_by_a_button(self, demo: Path, admin_client: Client) -> None:
        assert admin_client.get(reverse("admin:demo_delete")).status_code == 405
        response = admin_client.post(reverse("admin:demo_delete"), follow=True)
        assert "The demo is removed." in response.content.decode()
        assert not demo.exists()
        assert demo_state().phase == "absent"

    def test_a_process_that_ended_too_early_is_a_failure(
        self, tmp_path: Path, settings: Any, admin_client: Client
    ) -> None:
        settings.DATA_DIR = tmp_path
        demo_folder().mkdir()
        (demo_folder() / "progress.json").write_text('{"step": "Starting"}')
        assert demo_state().phase == "failed"
        assert "could not be made" in admin_client.get(DEMO).content.decode()

    def test_while_it_is_made_it_is_neither_made_nor_removed(
        self, demo: Path, admin_client: Client
    ) -> None:
        with (demo / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert demo_state().phase == "making"
            for option in ([], ["--remove"]):
                with pytest.raises(CommandError, match="being made"):
                    call_command("demo", *option)
            for name in ("demo_make", "demo_delete"):
                page = admin_client.post(reverse(f"admin:{name}"), follow=True)
                assert "being made" in page.content.decode()
            progress = admin_client.get(reverse("admin:demo_progress")).json()
            assert progress["phase"] == "making"
        assert demo_state().phase == "ready"

    def test_a_folder_that_cannot_be_written_is_named(
        self, tmp_path: Path, settings: Any, admin_client: Client
    ) -> None:
        (tmp_path / "demo").write_text("a file in its place")
        settings.DATA_DIR = tmp_path
        page = admin_client.post(reverse("admin:demo_make"), follow=True)
        assert "The demo cannot be written: " in page.content.decode()

    def test_the_command_says_what_it_cannot_do(self, tmp_path: Path, settings: Any) -> None:
        settings.DATA_DIR = tmp_path
        for options, message in (
            (["--requests", "1"], "--requests must be"),
            (["--days", "1"], "--days must be"),
            (["--write"], "for the command itself"),
        ):
            with pytest.raises(CommandError, match=message):
                call_command("demo", *options)


def test_the_demo_ends_today(demo: Path) -> None:
    with reading_demo():
        latest = RequestRecord.objects.order_by("-created_at").first()
    assert latest is not None
    assert datetime.now(UTC) - latest.created_at < timedelta(days=2)
