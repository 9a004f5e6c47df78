import analytics.models.prices
import django.core.validators
import django.utils.timezone
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0016_playground'),
    ]

    operations = [
        migrations.CreateModel(
            name='PriceOverride',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(max_length=64)),
                ('model', models.CharField(max_length=128)),
                ('input', models.DecimalField(decimal_places=10, help_text='USD per million input tokens.', max_digits=20, validators=[django.core.validators.MinValueValidator(Decimal('0'))])),
                ('output', models.DecimalField(decimal_places=10, help_text='USD per million output tokens.', max_digits=20, validators=[django.core.validators.MinValueValidator(Decimal('0'))])),
                ('cache_read', models.DecimalField(blank=True, decimal_places=10, help_text='Read from the prompt cache; empty: as other input.', max_digits=20, null=True, validators=[django.core.validators.MinValueValidator(Decimal('0'))])),
                ('cache_write', models.DecimalField(blank=True, decimal_places=10, help_text='Written to the prompt cache; empty: as other input.', max_digits=20, null=True, validators=[django.core.validators.MinValueValidator(Decimal('0'))])),
                ('cache_write_1h', models.DecimalField(blank=True, decimal_places=10, help_text='Written for an hour; empty: as other writing.', max_digits=20, null=True, validators=[django.core.validators.MinValueValidator(Decimal('0'))])),
                ('valid_from', models.DateField(default=analytics.models.prices._today, help_text='UTC. Today: at once.')),
                ('valid_until', models.DateField(blank=True, help_text='The first day, UTC, on which it no longer holds. Empty: no end.', null=True)),
                ('note', models.CharField(blank=True, help_text='Why: a contract, a discount.', max_length=200)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('changed_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                'db_table': 'price_overrides',
                'ordering': ('provider', 'model', '-valid_from'),
            },
        ),
        migrations.CreateModel(
            name='PriceSeen',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(max_length=64)),
                ('model', models.CharField(max_length=128)),
                ('seen_at', models.DateTimeField()),
                ('source', models.CharField(max_length=20)),
                ('input', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ('output', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ('cache_read', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ('cache_write', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ('cache_write_1h', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ('steps', models.JSONField(blank=True, default=list, help_text='Of long requests: above so many input tokens, USD per million in and out.')),
                ('first', models.BooleanField(default=False, help_text='The model had not been seen before.')),
            ],
            options={
                'verbose_name': 'price as seen',
                'verbose_name_plural': 'price history',
                'db_table': 'price_history',
                'ordering': ('-seen_at', 'provider', 'model'),
                'constraints': [models.UniqueConstraint(fields=('provider', 'model', 'seen_at'), name='one_price_an_hour')],
            },
        ),
    ]
