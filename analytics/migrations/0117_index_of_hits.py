from django.db import migrations, models

from analytics.database.index_changes import AddIndexConcurrently, RemoveIndexConcurrently


class Migration(migrations.Migration):
    atomic = False  # indexes of large tables are made and dropped while requests go on

    dependencies = [
        ("analytics", "0116_fewer_indexes"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="requestrecord",
            index=models.Index(
                fields=["cache_key"], condition=models.Q(("cache_hit", True)), name="requests_hits"
            ),
        ),
        RemoveIndexConcurrently(model_name="requestrecord", name="requests_cache_key"),
    ]
