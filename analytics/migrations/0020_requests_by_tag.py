from typing import Any

from django.db import migrations

# Requests without tags, most of them, are not in it and cost nothing.
_CREATE = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS requests_tags ON requests
USING gin (tags jsonb_path_ops) WHERE tags <> '[]'::jsonb
"""


def create(apps: Any, schema_editor: Any) -> None:
    """On PostgreSQL, while requests go on; no other database has such indexes."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(_CREATE)


def drop(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX CONCURRENTLY IF EXISTS requests_tags")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("analytics", "0019_budget_marks"),
    ]

    operations = [migrations.RunPython(create, drop)]
