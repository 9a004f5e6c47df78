from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0050_latency_caps"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="routingmetric",
            index=models.Index(
                condition=models.Q(("routing_saved__isnull", True)),
                fields=["-created_at"],
                name="metrics_unpriced",
            ),
        ),
    ]
