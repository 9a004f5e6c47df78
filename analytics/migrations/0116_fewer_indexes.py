from typing import Any

from django.db import migrations, models

from analytics.database.index_changes import (
    AddIndexConcurrently,
    RemoveIndexConcurrently,
    drop_concurrently,
)


def drop_pattern_index(apps: Any, schema_editor: Any) -> None:
    """Drop the second index of the cache's random keys, which only LIKE would use: nobody does."""
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
            " AND tablename = 'response_cache' AND indexname LIKE '%\\_like'"
        )
        names = [name for (name,) in cursor.fetchall()]
    for name in names:
        drop_concurrently(schema_editor, name)


class Migration(migrations.Migration):
    atomic = False  # indexes of large tables are made and dropped while requests go on

    dependencies = [
        ("analytics", "0115_specialised_endpoints"),
    ]

    operations = [
        # What replaces an index comes before the index goes.
        AddIndexConcurrently(
            model_name="requestrecord",
            index=models.Index(
                fields=["-created_at", "status", "cache_hit", "tier", "strategy", "endpoint"],
                name="requests_filters",
            ),
        ),
        AddIndexConcurrently(
            model_name="requestrecord",
            index=models.Index(
                fields=["status", "-created_at"],
                condition=models.Q(("status", "ok"), _negated=True),
                name="requests_not_ok",
            ),
        ),
        AddIndexConcurrently(
            model_name="routingmetric",
            index=models.Index(
                fields=[
                    "-created_at",
                    "strategy_used",
                    "confidence",
                    "pattern",
                    "tier",
                    "provider",
                    "model",
                ],
                name="metrics_filters",
            ),
        ),
        AddIndexConcurrently(
            model_name="cachedresponse",
            index=models.Index(
                fields=["invalidated_at"],
                condition=models.Q(("invalidated_at__isnull", False)),
                name="cache_withdrawn",
            ),
        ),
        RemoveIndexConcurrently(model_name="requestrecord", name="requests_created"),
        RemoveIndexConcurrently(model_name="requestrecord", name="requests_tier"),
        RemoveIndexConcurrently(model_name="requestrecord", name="requests_strategy"),
        RemoveIndexConcurrently(model_name="requestrecord", name="requests_hit"),
        RemoveIndexConcurrently(model_name="requestrecord", name="requests_status"),
        RemoveIndexConcurrently(model_name="requestrecord", name="requests_endpoint"),
        RemoveIndexConcurrently(model_name="routingmetric", name="metrics_created"),
        RemoveIndexConcurrently(model_name="routingmetric", name="metrics_strategy"),
        RemoveIndexConcurrently(model_name="routingmetric", name="metrics_confidence"),
        RemoveIndexConcurrently(model_name="routingmetric", name="metrics_model"),
        RemoveIndexConcurrently(model_name="routingmetric", name="metrics_pattern"),
        RemoveIndexConcurrently(model_name="routingmetric", name="metrics_tier"),
        RemoveIndexConcurrently(model_name="cachedresponse", name="cache_invalidated"),
        migrations.RunPython(drop_pattern_index, migrations.RunPython.noop),
    ]
