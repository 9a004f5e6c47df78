from django.db import migrations
from django.utils import timezone

_DIMENSIONS = ("sessions", "users", "keys")


def hours_sum_again(apps, schema_editor):
    """Have all hours summed again whose requests are there, by session, user and key too."""
    state = apps.get_model("analytics", "TotalsState").objects.first()
    if state is None or state.summed_until is None:
        return
    hours = apps.get_model("analytics", "HourlyRollup").objects.order_by("hour")
    if state.pruned_before is not None:
        hours = hours.filter(hour__gte=state.pruned_before)
    stale, now = apps.get_model("analytics", "StaleRollupHour"), timezone.now()
    stale.objects.bulk_create(
        (stale(hour=hour, marked_at=now) for hour in hours.values_list("hour", flat=True).distinct()),
        ignore_conflicts=True,
    )


def rollups_remove(apps, schema_editor):
    for name in ("HourlyRollup", "DailyRollup"):
        apps.get_model("analytics", name).objects.filter(dimension__in=_DIMENSIONS).delete()


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0037_session_brakes'),
    ]

    operations = [migrations.RunPython(hours_sum_again, rollups_remove)]
