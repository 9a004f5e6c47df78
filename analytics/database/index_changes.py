"""Changes of indexes on tables of millions of rows, while requests go on.

Django has operations like these for PostgreSQL alone; these also run on the other databases.
"""

from __future__ import annotations

from typing import Any

from django.db.migrations.operations import AddIndex, RemoveIndex


class AddIndexConcurrently(AddIndex):
    """Adds an index; on PostgreSQL, without keeping writers waiting.

    Its migration must not be atomic. An index that an earlier try left unfinished is made anew.
    """

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        """Create the index."""
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            drop_concurrently(schema_editor, self.index.name)
            schema_editor.add_index(model, self.index, concurrently=True)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        """Drop the index."""
        removal = RemoveIndexConcurrently(self.model_name, self.index.name)
        removal.database_forwards(app_label, schema_editor, from_state, to_state)


class RemoveIndexConcurrently(RemoveIndex):
    """Removes an index, on PostgreSQL without keeping writers waiting, if it is there.

    Its migration must not be atomic.
    """

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        """Drop the index."""
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
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
    """Drop an index of PostgreSQL, if it is there, without keeping writers waiting."""
    quoted = schema_editor.quote_name(name)
    schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quoted}")
