from typing import Any

from django.db import migrations, models

from analytics.database.index_changes import AddIndexAside, RemoveIndexAside


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
        quoted = schema_editor.quote_name(name)
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quoted}")


class Migration(migrations.Migration):
    atomic = False  # indexes of large tables are made and dropped while requests go on

    dependencies = [
        ("analytics", "0115_specialised_endpoints"),
    ]

    operations = [
        # What replaces an index comes before the index goes.
        AddIndexAside(
            model_name="requestrecord",
            index=models.Index(
                fields=["-created_at", "status", "cache_hit", "tier", "strategy", "endpoint"],
                name="requests_filters",
            ),
        ),
        AddIndexAside(
            model_name="requestrecord",
            index=models.Index(
                fields=["status", "-created_at"],
                condition=models.Q(("status", "ok"), _negated=True),
                name="requests_not_ok",
            ),
        ),
        AddIndexAside(
            model_name="routingmetric",
            index=models.Index(
                fields=[
                    "-created_at", "strategy_used", "confidence", "pattern", "tier", "provider",
                    "model",
                ],
                name="metrics_filters",
            ),
        ),
        AddIndexAside(
            model_name="cachedresponse",
            index=models.Index(
                fields=["invalidated_at"],
                condition=models.Q(("invalidated_at__isnull", False)),
                name="cache_withdrawn",
            ),
        ),
        RemoveIndexAside(model_name="requestrecord", name="requests_created"),
        RemoveIndexAside(model_name="requestrecord", name="requests_tier"),
        RemoveIndexAside(model_name="requestrecord", name="requests_strategy"),
        RemoveIndexAside(model_name="requestrecord", name="requests_hit"),
        RemoveIndexAside(model_name="requestrecord", name="requests_status"),
        RemoveIndexAside(model_name="requestrecord", name="requests_endpoint"),
        RemoveIndexAside(model_name="routingmetric", name="metrics_created"),
        RemoveIndexAside(model_name="routingmetric", name="metrics_strategy"),
        RemoveIndexAside(model_name="routingmetric", name="metrics_confidence"),
        RemoveIndexAside(model_name="routingmetric", name="metrics_model"),
        RemoveIndexAside(model_name="routingmetric", name="metrics_pattern"),
        RemoveIndexAside(model_name="routingmetric", name="metrics_tier"),
        RemoveIndexAside(model_name="cachedresponse", name="cache_invalidated"),
        migrations.RunPython(drop_pattern_index, migrations.RunPython.noop),
    ]
