"""Table: sessions."""

from __future__ import annotations

from decimal import Decimal

from django.db import models

from analytics.database.large_tables import LargeTableQuerySet
from analytics.money import money


class AgentSession(models.Model):
    """One run of an agent or one conversation, with the exact sums of its requests.

    The sums are written in the ledger's transaction. The row whose ``sub_agent`` is empty sums
    the whole session; each sub-agent has a row of its own beside it, and ``parent_agent`` is the
    sub-agent that started it, empty if the main agent did. A client chooses ``session_id``, so a
    session belongs to one ``tenant``. No request is answered once ``stopped_at`` is set.
    """

    tenant = models.CharField(max_length=80, blank=True)
    session_id = models.CharField(max_length=128)
    sub_agent = models.CharField(max_length=128, blank=True)
    parent_agent = models.CharField(max_length=128, blank=True)
    agent = models.CharField(max_length=32, blank=True)
    user_id = models.CharField(max_length=128, blank=True)
    api_key = models.CharField("API key", max_length=16, blank=True)
    project = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField()
    last_at = models.DateTimeField()
    # Of these, no CHECK asks for positive numbers: what is taken back is added as a negative one.
    requests = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    cache_hits = models.BigIntegerField(default=0)
    unpriced = models.BigIntegerField(default=0)
    human_turns = models.BigIntegerField(default=0)
    tool_calls = models.BigIntegerField(default=0)
    tokens_in = models.BigIntegerField(default=0)
    tokens_out = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    cost = money(default=Decimal(0))
    savings = money(default=Decimal(0))
    prompt_cache_saved = money(default=Decimal(0))
    # Since the last words of a person; only roughly after a correction of a row.
    calls_since_human = models.BigIntegerField(default=0, db_default=0)
    cost_since_human = money(default=Decimal(0), db_default=Decimal(0))
    runaway_at = models.DateTimeField(null=True, blank=True)
    runaway_reason = models.CharField(max_length=200, blank=True, default="", db_default="")
    # What routing must remember of its last turn, for all workers.
    last_provider = models.CharField(max_length=64, blank=True, default="", db_default="")
    last_model = models.CharField(max_length=128, blank=True, default="", db_default="")
    last_tier = models.CharField(max_length=10, blank=True, default="", db_default="")
    last_effort = models.CharField(max_length=10, blank=True, default="", db_default="")
    last_service_tier = models.CharField(max_length=16, blank=True, default="", db_default="")
    cached_tokens = models.BigIntegerField(default=0, db_default=0)
    cached_until = models.DateTimeField(null=True, blank=True)
    moved_up_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    stop_reason = models.CharField(max_length=200, blank=True, default="", db_default="")

    objects = LargeTableQuerySet.as_manager()

    class Meta:
        db_table = "sessions"
        verbose_name = "session"
        constraints = [
            # By the id first, as people search for it without knowing whose it is.
            models.UniqueConstraint(
                fields=["session_id", "tenant", "sub_agent"], name="one_row_a_session"
            )
        ]
        indexes = [
            models.Index(fields=["-cost"], condition=models.Q(sub_agent=""), name="sessions_cost"),
            models.Index(
                fields=["-last_at"], condition=models.Q(sub_agent=""), name="sessions_last"
            ),
            models.Index(
                fields=["sub_agent"], condition=~models.Q(sub_agent=""), name="sessions_sub_agent"
            ),
            models.Index(
                fields=["stopped_at"],
                condition=models.Q(stopped_at__isnull=False),
                name="sessions_stopped",
            ),
            models.Index(
                fields=["runaway_at"],
                condition=models.Q(runaway_at__isnull=False),
                name="sessions_runaway",
            ),
            models.Index(
                fields=["moved_up_at"],
                condition=models.Q(moved_up_at__isnull=False),
                name="sessions_moved_up",
            ),
        ]

    def __str__(self) -> str:
        return self.session_id


class SessionStall(models.Model):
    """The first time that the agent of a session went round in circles, and what came of it.

    The row is written in the transaction of the request at which it was seen. Models are
    "provider/model": ``model`` answered until then, ``moved_to`` is the stronger one that took
    over, empty if the session stayed. ``held_back`` is whether it stayed by lot, so that moves can
    be compared with it. The rest is judged later, from the ``calls`` that came after: whether the
    agent ``progressed`` (``None`` while that is not known), how many of its calls still repeated
    their steps, and what the move cost in USD beyond the first model's price.
    """

    tenant = models.CharField(max_length=80, blank=True)
    session_id = models.CharField(max_length=128)
    sub_agent = models.CharField(max_length=128, blank=True)
    agent = models.CharField(max_length=32, blank=True)
    request_id = models.UUIDField(editable=False)
    at = models.DateTimeField()
    model = models.CharField(max_length=200)
    moved_to = models.CharField(max_length=200, blank=True)
    held_back = models.BooleanField(default=False)
    judged_at = models.DateTimeField(null=True, blank=True)
    progressed = models.BooleanField(null=True, blank=True)
    calls = models.PositiveIntegerField(default=0, db_default=0)
    repeated = models.PositiveIntegerField(default=0, db_default=0)
    rating = models.FloatField(
        null=True, blank=True, help_text="The mean rating of the calls after it, 0-1."
    )
    extra_cost = money(null=True, blank=True)

    class Meta:
        db_table = "session_stalls"
        verbose_name = "stalled session"
        constraints = [
            models.UniqueConstraint(
                fields=["session_id", "tenant", "sub_agent"], name="one_stall_a_session"
            )
        ]
        indexes = [
            models.Index(fields=["-at"], name="session_stalls_at"),
            models.Index(
                fields=["at"],
                condition=models.Q(judged_at__isnull=True),
                name="session_stalls_open",
            ),
        ]

    def __str__(self) -> str:
        return self.session_id
