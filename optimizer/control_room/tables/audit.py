"""The admin's audit trail, and users, who are switched off rather than deleted with their trail."""

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
class LastingUserAdmin(UserAdmin):
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(LogEntry)
class AuditAdmin(ReadOnlyAdmin):
    list_display = ("action_time", "user", "what", "content_type", "object_repr", "message")
    list_filter = ("action_flag", "content_type")
    list_select_related = ("user", "content_type")
    search_fields = ("object_repr", "user__username", "change_message")
    date_hierarchy = "action_time"
    paginator = CappedPaginator
    show_full_result_count = False
    ordering = ("-action_time",)
    fields = ("action_time", "user", "what", "content_type", "object_repr", "message")

    @admin.display(description="did")
    def what(self, entry: LogEntry) -> str:
        return entry.get_action_flag_display()

    @admin.display(description="how")
    def message(self, entry: LogEntry) -> str:
        return entry.get_change_message()
