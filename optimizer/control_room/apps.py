"""Django's admin app, with our site for its default."""

from __future__ import annotations

from importlib import import_module

from django.contrib.admin.apps import AdminConfig


class ControlRoomConfig(AdminConfig):
    default_site = "optimizer.control_room.site.ControlRoom"

    def ready(self) -> None:
        super().ready()
        # Their module is not called "admin", so Django does not discover it.
        import_module("optimizer.control_room.tables")
