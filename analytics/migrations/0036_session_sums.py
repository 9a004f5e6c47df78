from decimal import Decimal

from django.db import migrations
from django.db.models import Sum

from analytics.money import MoneySum

_WRITTEN_TOGETHER = 2_000
# What the rows from before say nothing of, and what they say but no roll-up held.
_UNKNOWN = ("agent", "turn", "tool")
_KNOWN = ("key", "tenant", "project")


def sessions_fill(apps, schema_editor):
    """Sum the requests from before by session; they say nothing of agents, turns and tools."""
    sqlite = schema_editor.connection.vendor == "sqlite"

    def money(column):
        if not sqlite:
            return f"COALESCE(SUM({column}), 0)"
        # As whole ten-billionths: SQLite would add decimals as binary floats.
        return f"ROUND(COALESCE(SUM(CAST(ROUND({column} * 1e10) AS BIGINT)), 0) / 1e10, 10)"

    sql = (
        "INSERT INTO sessions (tenant, session_id, sub_agent, parent_agent, agent, user_id, api_key,"
        " project, started_at, last_at, requests, errors, cache_hits, unpriced, human_turns,"
        " tool_calls, tokens_in, tokens_out, cache_read_tokens, cache_write_tokens, cost, savings,"
        " prompt_cache_saved, stop_reason)"
        " SELECT r.tenant, r.session_id, '', '', '', MAX(r.user_id), MAX(r.api_key), MAX(r.project),"
        " MIN(r.created_at), MAX(r.created_at), COUNT(*),"
        " SUM(CASE WHEN r.status = 'error' THEN 1 ELSE 0 END),"
        " SUM(CASE WHEN r.cache_hit THEN 1 ELSE 0 END),"
        " SUM(CASE WHEN r.cost IS NULL THEN 1 ELSE 0 END), 0, 0,"
        " SUM(r.tokens_in), SUM(r.tokens_out), SUM(r.cache_read_tokens), SUM(r.cache_write_tokens),"
        f" {money('r.cost')}, {money('r.savings')}, {money('d.prompt_cache_saved')}, ''"
        " FROM requests r LEFT JOIN routing_metrics d ON d.request_id = r.id"
        " WHERE r.session_id <> '' AND r.status <> 'refused' AND r.endpoint <> 'batches'"
        " GROUP BY r.tenant, r.session_id"
    )
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(sql)


def rollups_renew(apps, schema_editor):
    """Let the roll-ups be summed again with the new dimensions.

    The hours of pruned requests cannot: there, the new dimensions have one unnamed value.
    """
    state = apps.get_model("analytics", "TotalsState").objects.first()
    if state is None or state.summed_until is None:
        return
    hours, days = apps.get_model("analytics", "HourlyRollup"), apps.get_model("analytics", "DailyRollup")
    days.objects.all().delete()
    kept = hours.objects.all()
    if state.pruned_before is not None:
        kept.filter(hour__gte=state.pruned_before).delete()
    else:
        kept.delete()
    figures = {
        field.name: MoneySum(field.name) if field.get_internal_type() == "DecimalField" else Sum(field.name, default=0)
        for field in hours._meta.concrete_fields
        if field.name not in {"id", "dimension", "value", "hour"}
    }
    # Each request has one confidence, so these sums are of all requests.
    rows = hours.objects.filter(dimension="confidence").values("hour").annotate(**{f"all_{n}": s for n, s in figures.items()})
    batch = []
    for row in list(rows.order_by("hour")):
        sums = {n: row[f"all_{n}"] or (Decimal(0) if isinstance(row[f"all_{n}"], Decimal) else 0) for n in figures}
        batch += [hours(dimension=name, value="", hour=row["hour"], **sums) for name in (*_UNKNOWN, *_KNOWN)]
        if len(batch) >= _WRITTEN_TOGETHER:
            hours.objects.bulk_create(batch, ignore_conflicts=True)
            batch = []
    hours.objects.bulk_create(batch, ignore_conflicts=True)
    state.summed_until, state.days_until = state.pruned_before, None
    state.save()


def rollups_remove(apps, schema_editor):
    for name in ("HourlyRollup", "DailyRollup"):
        apps.get_model("analytics", name).objects.filter(dimension__in=(*_UNKNOWN, *_KNOWN)).delete()


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0035_sessions'),
    ]

    operations = [
        migrations.RunPython(sessions_fill, migrations.RunPython.noop),
        migrations.RunPython(rollups_renew, rollups_remove),
    ]
