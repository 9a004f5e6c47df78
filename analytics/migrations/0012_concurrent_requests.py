import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0011_budgets'),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='concurrent_requests',
            field=models.PositiveIntegerField(blank=True, help_text='Under way at the same time.', null=True, validators=[django.core.validators.MinValueValidator(1)]),
        ),
    ]
