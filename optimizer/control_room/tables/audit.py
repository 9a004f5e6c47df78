"""Model admins of the audit trail and of users.

Users are deactivated, not deleted, because deleting a user would delete the user's trail too.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.http import HttpRequest

from analytics.admin.history import ReadOnlyAdmin
from analytics.database.large_tables import CappedPaginator

admin.site.unregister(User)


@admin.register(User)
class UndeletableUserAdmin(UserAdmin):
    """Users of the admin, without deletion."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return ``False``, because users can only be deactivated."""
        return False


@admin.register(LogEntry)
class AuditAdmin(ReadOnlyAdmin):
    """The audit trail, read-only."""

    list_display = ("action_time", "user", "action", "content_type", "object_repr", "details")
    list_filter = ("action_flag", "content_type")
    list_select_related = ("user", "content_type")
    search_fields = ("object_repr", "user__username", "change_message")
    date_hierarchy = "action_time"
    paginator = CappedPaginator
    show_full_result_count = False
    ordering = ("-action_time",)
    fields = ("action_time", "user", "action", "content_type", "object_repr", "details")

    @admin.display(description="action")
    def action(self, entry: LogEntry) -> str:
        """Return the kind of change: addition, change or deletion."""
        return entry.get_action_flag_display()

    @admin.display(description="details")
    def details(self, entry: LogEntry) -> str:
        """Return the description of the change."""
        return entry.get_change_message()
