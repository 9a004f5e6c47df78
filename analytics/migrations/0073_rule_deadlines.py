from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("analytics", "0071_lever_results")]

    operations = [
        migrations.AddField(
            model_name="routingrule",
            name="deadline",
            field=models.FloatField(
                blank=True,
                help_text="Seconds within which answers are wanted, where the request does not say.",
                null=True,
            ),
        ),
    ]
