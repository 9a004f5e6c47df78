from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0049_users_and_revision"),
    ]

    operations = [
        migrations.AddField(
            model_name="routingrule",
            name="latency_cap",
            field=models.FloatField(
                blank=True, help_text="Seconds until the answer is complete.", null=True
            ),
        ),
    ]
