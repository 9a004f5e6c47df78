import django.utils.timezone
from decimal import Decimal
from django.db import migrations, models


def tell_explored(apps, schema_editor):
    """Decisions of before say in their metadata whether they explored."""
    decisions = apps.get_model("analytics", "RoutingMetric").objects
    decisions.filter(metadata__explored=True).update(explored=True)


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0004_rules'),
    ]

    operations = [
        migrations.CreateModel(
            name='StaleHour',
            fields=[
                ('hour', models.DateTimeField(primary_key=True, serialize=False)),
                ('marked_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'db_table': 'stale_hours',
            },
        ),
        migrations.CreateModel(
            name='TotalsState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('summed_until', models.DateTimeField(null=True)),
                ('pruned_before', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'totals_state',
            },
        ),
        migrations.AddField(
            model_name='routingmetric',
            name='baseline_output_cost',
            field=models.DecimalField(decimal_places=10, max_digits=20, null=True),
        ),
        migrations.AddField(
            model_name='routingmetric',
            name='explored',
            field=models.BooleanField(default=False, help_text='Tried in order to learn.'),
        ),
        migrations.AddField(
            model_name='routingmetric',
            name='prompt_cache_saved',
            field=models.DecimalField(decimal_places=10, max_digits=20, null=True),
        ),
        migrations.RunPython(tell_explored, migrations.RunPython.noop),
        migrations.CreateModel(
            name='HourlyTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('dimension', models.CharField(max_length=12)),
                ('hour', models.DateTimeField()),
                ('value', models.CharField(blank=True, max_length=512)),
                ('requests', models.BigIntegerField(default=0)),
                ('decided', models.BigIntegerField(default=0)),
                ('failed', models.BigIntegerField(default=0)),
                ('cache_hits', models.BigIntegerField(default=0)),
                ('priced', models.BigIntegerField(default=0)),
                ('high', models.BigIntegerField(default=0)),
                ('paired', models.BigIntegerField(default=0)),
                ('tokens_in', models.BigIntegerField(default=0)),
                ('tokens_out', models.BigIntegerField(default=0)),
                ('latency_us', models.BigIntegerField(default=0)),
                ('answers', models.BigIntegerField(default=0)),
                ('answer_tokens', models.BigIntegerField(default=0)),
                ('answer_tokens_squared', models.BigIntegerField(default=0)),
                ('cost', models.DecimalField(decimal_places=10, default=Decimal('0'), max_digits=20)),
                ('failed_cost', models.DecimalField(decimal_places=10, default=Decimal('0'), max_digits=20)),
                ('lost_cost', models.DecimalField(decimal_places=10, default=Decimal('0'), max_digits=20)),
                ('paired_cost', models.DecimalField(decimal_places=10, default=Decimal('0'), max_digits=20)),
                ('baseline_cost', models.DecimalField(decimal_places=10, default=Decimal('0'), max_digits=20)),
                ('baseline_output_cost', models.DecimalField(decimal_places=10, default=Decimal('0'), max_digits=20)),
                ('routing_saved', models.DecimalField(decimal_places=10, default=Decimal('0'), max_digits=20)),
                ('cache_saved', models.DecimalField(decimal_places=10, default=Decimal('0'), max_digits=20)),
                ('prompt_cache_saved', models.DecimalField(decimal_places=10, default=Decimal('0'), max_digits=20)),
                ('explored_saved', models.DecimalField(decimal_places=10, default=Decimal('0'), max_digits=20)),
            ],
            options={
                'db_table': 'hourly_totals',
                'constraints': [models.UniqueConstraint(fields=('dimension', 'hour', 'value'), name='one_total_an_hour')],
            },
        ),
    ]
