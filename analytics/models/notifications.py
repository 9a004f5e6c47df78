"""Tables: digests, digest_issues, notifications."""

from __future__ import annotations

import zoneinfo

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.utils import timezone

from analytics.models.alerts import Alert
from analytics.models.notification_target import NotificationChannel, NotificationTarget


class Digest(NotificationTarget):
    """A summary of each week or month that is over, for a team, a project or everything.

    Weeks and months begin in ``time_zone``; the digest is sent at ``hour`` there, on the first day
    after its period.
    """

    class Period(models.TextChoices):
        """What one digest sums up."""

        WEEK = "week", "week, from Monday"
        MONTH = "month", "month"

    class Scope(models.TextChoices):
        """Whose requests it is about."""

        EVERYTHING = "everything", "everything"
        TEAM = "team", "team"
        PROJECT = "project", "project"

    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(default=True)
    period = models.CharField(max_length=10, choices=Period.choices, default=Period.WEEK)
    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.EVERYTHING)
    subject = models.CharField(
        max_length=80, blank=True, help_text="The name of the team or project."
    )
    time_zone = models.CharField(max_length=64, default="UTC")
    hour = models.PositiveSmallIntegerField(
        default=8, validators=[MaxValueValidator(23)], help_text="Hour of the day, 0 to 23."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "digests"
        ordering = ("name",)

    @property
    def filters(self) -> dict[str, str]:
        """Return the values that its requests have, by dimension."""
        return {} if self.scope == self.Scope.EVERYTHING else {self.scope: self.subject}

    @property
    def about(self) -> str:
        """Return whose requests it is about, for people."""
        return "everything" if not self.filters else f"{self.scope} {self.subject}"

    def clean(self) -> None:
        """Raise ``ValidationError`` if scope, subject and time zone do not agree."""
        super().clean()
        if (self.scope == self.Scope.EVERYTHING) == bool(self.subject):
            word = "Leave it empty" if self.subject else f"Name the {self.scope}"
            raise ValidationError({"subject": f"{word}."})
        if self.time_zone not in zoneinfo.available_timezones():
            raise ValidationError(
                {"time_zone": "Unknown time zone. Use a name such as Europe/Berlin."}
            )

    def __str__(self) -> str:
        return self.name


class DigestIssue(models.Model):
    """One digest of one period; its row is what makes sure that it is sent once.

    ``content`` is a :class:`analytics.alerts.notice.Notice` as JSON.
    """

    digest = models.ForeignKey(Digest, on_delete=models.CASCADE, related_name="issues")
    period_start = models.DateField()
    made_at = models.DateTimeField(default=timezone.now)
    content = models.JSONField(default=dict)

    class Meta:
        db_table = "digest_issues"
        ordering = ("-made_at",)
        constraints = [
            models.UniqueConstraint(fields=["digest", "period_start"], name="one_issue_a_period")
        ]

    def __str__(self) -> str:
        return f"{self.digest}, {self.period_start}"


class Notification(models.Model):
    """A message on its way to one place, repeated until it has arrived or is given up.

    It goes to ``channel`` or, without one, ``direct`` to the webhook or the e-mail addresses of
    the rule, budget or digest. It is written in the transaction of what it is about, so none is
    lost between raising and sending. ``due_at`` is when it is sent next; whoever sends it moves
    that time first, so nobody else does.
    """

    class Event(models.TextChoices):
        """What it is about."""

        RAISED = "raised", "raised"
        RESOLVED = "resolved", "resolved"
        DIGEST = "digest", "digest"

    class Direct(models.TextChoices):
        """The place, where it is no channel."""

        NONE = "", "channel"
        WEBHOOK = "webhook", "webhook"
        EMAIL = "email", "e-mail"

    alert = models.ForeignKey(
        Alert, null=True, on_delete=models.CASCADE, related_name="notifications"
    )
    issue = models.ForeignKey(
        DigestIssue, null=True, on_delete=models.CASCADE, related_name="notifications"
    )
    event = models.CharField(max_length=10, choices=Event.choices)
    channel = models.ForeignKey(
        NotificationChannel, null=True, on_delete=models.CASCADE, related_name="notifications"
    )
    direct = models.CharField(max_length=10, choices=Direct.choices, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(null=True, default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "notifications"
        ordering = ("-created_at",)
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=models.Q(due_at__isnull=False),
                name="notifications_due",
            )
        ]

    @property
    def place(self) -> str:
        """Return where it goes, for people."""
        return str(self.channel) if self.channel else self.get_direct_display()

    def __str__(self) -> str:
        # Django names a hundred of them before an alert is deleted: no query for each.
        return f"{self.event}, {self.created_at:%Y-%m-%d %H:%M}"
