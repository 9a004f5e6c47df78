"""Configuration of Django's admin app, with the control room as the default site."""

from __future__ import annotations

from importlib import import_module

from django.contrib.admin.apps import AdminConfig


class ControlRoomConfig(AdminConfig):
    """The admin app whose default site is :class:`~optimizer.control_room.site.ControlRoom`."""

    default_site = "optimizer.control_room.site.ControlRoom"

    def ready(self) -> None:
        """Register the model admins of this package."""
        super().ready()
        # Their module is not called "admin", so Django does not discover it.
        import_module("optimizer.control_room.tables")
