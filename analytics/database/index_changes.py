"""Changes of indexes on tables of millions of rows, while requests go on.

Django has operations like these for PostgreSQL alone; these also run on the other databases. A
migration of them must not be atomic, so one that is interrupted has done a part of its work. It can
be run again, in either direction: what is there already is made anew, what is gone is left out.
"""

from __future__ import annotations

from typing import Any

from django.db.migrations.operations import AddIndex, RemoveIndex


class AddIndexConcurrently(AddIndex):
    """Adds an index; on PostgreSQL, without keeping writers waiting."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        """Create the index; one of its name may be unfinished, and is dropped first."""
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        drop_concurrently(schema_editor, self.index.name)
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.add_index(model, self.index, concurrently=True)
        else:
            schema_editor.add_index(model, self.index)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        """Drop the index, if it is there."""
        removal = RemoveIndexConcurrently(self.model_name, self.index.name)
        removal.database_forwards(app_label, schema_editor, from_state, to_state)


class RemoveIndexConcurrently(RemoveIndex):
    """Removes an index; on PostgreSQL, without keeping writers waiting."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        """Drop the index, if it is there."""
        model = from_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            drop_concurrently(schema_editor, self.name)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        """Create the index again."""
        index = to_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        addition = AddIndexConcurrently(self.model_name, index)
        addition.database_forwards(app_label, schema_editor, from_state, to_state)


def drop_concurrently(schema_editor: Any, name: str) -> None:
    """Drop an index, if it is there; on PostgreSQL, without keeping writers waiting."""
    aside = "CONCURRENTLY " if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP INDEX {aside}IF EXISTS {schema_editor.quote_name(name)}")
