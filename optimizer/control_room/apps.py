"""Django's admin app, with our site for its default."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class ControlRoomConfig(AdminConfig):
    default_site = "optimizer.control_room.site.ControlRoom"
