"""Model admins of teams and projects."""

from __future__ import annotations

from django import forms
from django.contrib import admin

from analytics.admin.fields import LinesField
from analytics.admin.plain_values import PlainListsMixin
from analytics.models import Project, Team


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    """Lists and edits teams."""

    list_display = ("name",)
    search_fields = ("name",)


class ProjectForm(forms.ModelForm):
    """Edits a project; its tags are written one per line."""

    tags = LinesField(help_text="One per line; every request carries them.")

    class Meta:
        model = Project
        fields = ("name", "team", "tags")


@admin.register(Project)
class ProjectAdmin(PlainListsMixin, admin.ModelAdmin):
    """Lists and edits projects."""

    form = ProjectForm
    list_display = ("name", "team", "tags")
    list_select_related = ("team",)
    search_fields = ("name",)
    autocomplete_fields = ("team",)
