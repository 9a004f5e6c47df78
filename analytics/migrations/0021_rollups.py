from django.db import migrations


class Migration(migrations.Migration):
    """The classes are called roll-ups; their tables keep their names, so no row is touched."""

    dependencies = [
        ("analytics", "0020_requests_by_tag"),
    ]

    operations = [
        migrations.RenameModel("HourlyTotal", "HourlyRollup"),
        migrations.RenameModel("DaySum", "DailyRollup"),
        migrations.RenameModel("StaleHour", "StaleRollupHour"),
    ]
