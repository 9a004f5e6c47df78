from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("analytics", "0099_developers")]

    operations = [
        migrations.AddIndex(
            model_name="requestrecord",
            index=models.Index(
                condition=models.Q(("api_key", ""), _negated=True),
                fields=["api_key", "-created_at"],
                name="requests_key",
            ),
        ),
    ]
