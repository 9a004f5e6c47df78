"""An installation that is brought up to date keeps what it has learned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations import AddField, CreateModel, DeleteModel, RemoveField, RenameField
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from analytics.ledger.rollups import totals_differ, totals_update
from analytics.models import HourlyRollup, StaleRollupHour
from analytics.quality.evidence import evidence_load
from tests.factories import RoutingMetricFactory

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
LAST_WITHOUT_THIS_RULE = 18


def migrate_to(*targets: tuple[str, str]) -> Any:
    MigrationExecutor(connection).migrate(list(targets))
    return MigrationExecutor(connection).loader.project_state(list(targets)).apps


@pytest.mark.django_db(transaction=True)
def test_verdicts_given_before_are_learned_from() -> None:
    try:
        first = migrate_to(("analytics", "0001_initial"))
        feedback = first.get_model("analytics", "Feedback")
        kind = {"pattern": "code", "tier": "moderate", "provider": "a", "model": "m"}
        for score in [1.0] * 60 + [0.0] * 20:
            feedback.objects.create(score=score, **kind)
    finally:
        migrate_to(*MigrationExecutor(connection).loader.graph.leaf_nodes("analytics"))
    found = evidence_load()["code", "moderate", "a", "m"]
    assert found.count == 80
    assert found.weight == pytest.approx(50, rel=1e-3)
    assert found.quality_sum / found.weight == pytest.approx(0.75)
    assert found.expected_sum / found.weight == pytest.approx(0.78)


@pytest.mark.django_db(transaction=True)
def test_hours_are_summed_again_by_session_user_and_key() -> None:
    RoutingMetricFactory(request__created_at=NOW, request__session_id="one")
    list(totals_update(NOW + timedelta(hours=3)))
    try:
        migrate_to(("analytics", "0037_session_brakes"))
        assert not HourlyRollup.objects.filter(dimension="sessions").exists()
    finally:
        migrate_to(*MigrationExecutor(connection).loader.graph.leaf_nodes("analytics"))
    assert StaleRollupHour.objects.count() == 1
    list(totals_update(NOW + timedelta(hours=3)))
    assert HourlyRollup.objects.filter(dimension="sessions", requests=1).count() == 1
    assert list(totals_differ()) == []


@pytest.mark.django_db(transaction=True)
def test_a_change_of_indexes_that_was_interrupted_is_run_again_in_either_direction() -> None:
    def change_indexes(*statements: str) -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    try:
        migrate_to(("analytics", "0115_specialised_endpoints"))
        change_indexes(
            "CREATE INDEX requests_filters ON requests (created_at)", "DROP INDEX requests_tier"
        )
        migrate_to(("analytics", "0116_fewer_indexes"))
        change_indexes(
            "CREATE INDEX requests_tier ON requests (created_at)", "DROP INDEX requests_filters"
        )
        migrate_to(("analytics", "0115_specialised_endpoints"))
    finally:
        migrate_to(*MigrationExecutor(connection).loader.graph.leaf_nodes("analytics"))
    with connection.cursor() as cursor:
        made = connection.introspection.get_constraints(cursor, "requests")
    assert len(made["requests_filters"]["columns"]) == 6
    assert "requests_tier" not in made


def test_a_migration_lets_the_workers_of_the_version_before_go_on() -> None:
    """They write rows without a new column, and read one that is no more."""
    loader = MigrationLoader(None)
    for (app, name), migration in loader.disk_migrations.items():
        if app != "analytics" or int(name[:4]) <= LAST_WITHOUT_THIS_RULE:
            continue
        made = {one.name_lower for one in migration.operations if isinstance(one, CreateModel)}
        for operation in migration.operations:
            assert not isinstance(operation, RemoveField | RenameField | DeleteModel), name
            if isinstance(operation, AddField) and operation.model_name_lower not in made:
                field = operation.field
                # Many to many is a table of its own.
                may_lack = field.many_to_many or field.null or field.has_db_default()
                assert may_lack, f"{name}: {operation.name}"
