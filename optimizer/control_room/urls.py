"""The paths of the admin; imported with the first request to it, with all that it shows."""

from __future__ import annotations

from importlib import import_module

from django.contrib import admin

# The tables register the admins of all models, and the paths come from what is registered. Their
# module is not called "admin", so Django does not discover it.
import_module("optimizer.control_room.tables")

urlpatterns = admin.site.get_urls()
