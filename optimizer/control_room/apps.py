"""Configuration of Django's admin app, with the control room as the default site."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks


class ControlRoomConfig(SimpleAdminConfig):
    """The admin app whose default site is :class:`~optimizer.control_room.site.ControlRoom`.

    The admins of models are registered with the first request to the admin, not with every start:
    see :mod:`optimizer.control_room.urls`.
    """

    default_site = "optimizer.control_room.site.ControlRoom"

    def ready(self) -> None:
        """Check the admins of models where checks run, as Django's configuration does."""
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(_check_admins, checks.Tags.admin)


def _check_admins(app_configs: Any, **options: Any) -> list[checks.CheckMessage]:
    """Return what is wrong with the admins of models, once all are registered."""
    import_module("optimizer.control_room.urls")
    return check_admin_app(app_configs, **options)
