from decimal import Decimal

from django.db import migrations
from django.db.models import Sum

from analytics.money import MoneySum

_WRITTEN_TOGETHER = 2_000


def rollups_add(apps, schema_editor):
    """Add the sums by price basis of what was summed before: no request had a basis then."""
    for name, time in (("HourlyRollup", "hour"), ("DailyRollup", "day")):
        model = apps.get_model("analytics", name)
        figures = {
            field.name: MoneySum(field.name) if field.get_internal_type() == "DecimalField" else Sum(field.name, default=0)
            for field in model._meta.concrete_fields
            if field.name not in {"id", "dimension", "value", time}
        }
        # Each request has one confidence, so these sums are of all requests.
        rows = model.objects.filter(dimension="confidence").values(time).annotate(**{f"all_{n}": s for n, s in figures.items()})
        batch = []
        for row in rows.order_by(time).iterator():
            sums = {n: row[f"all_{n}"] or (Decimal(0) if isinstance(row[f"all_{n}"], Decimal) else 0) for n in figures}
            batch.append(model(dimension="basis", value="", **{time: row[time]}, **sums))
            if len(batch) == _WRITTEN_TOGETHER:
                model.objects.bulk_create(batch, ignore_conflicts=True)
                batch = []
        model.objects.bulk_create(batch, ignore_conflicts=True)


def rollups_remove(apps, schema_editor):
    for name in ("HourlyRollup", "DailyRollup"):
        apps.get_model("analytics", name).objects.filter(dimension="basis").delete()


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0031_session_budgets'),
    ]

    operations = [migrations.RunPython(rollups_add, rollups_remove)]
