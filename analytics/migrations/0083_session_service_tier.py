"""Sessions remember the service tier of their last turn, in which its prompt cache lies."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("analytics", "0081_autopilot")]

    operations = [
        migrations.AddField(
            model_name="agentsession",
            name="last_service_tier",
            field=models.CharField(blank=True, db_default="", default="", max_length=16),
        ),
    ]
