from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("analytics", "0100_requests_key")]

    operations = [
        migrations.AddIndex(
            model_name="requestrecord",
            index=models.Index(
                condition=models.Q(("failed_cost__gt", 0)),
                fields=["-created_at"],
                name="requests_failed_cost",
            ),
        ),
    ]
