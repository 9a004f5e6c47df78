from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0017_prices'),
    ]

    operations = [
        migrations.AddField(
            model_name='hourlytotal',
            name='first_token_us',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='hourlytotal',
            name='streams',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='totalsstate',
            name='days_until',
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name='DaySum',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('dimension', models.CharField(max_length=12)),
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
                ('streams', models.BigIntegerField(default=0)),
                ('first_token_us', models.BigIntegerField(default=0)),
                ('answers', models.BigIntegerField(default=0)),
                ('answer_tokens', models.BigIntegerField(default=0)),
                ('answer_tokens_squared', models.BigIntegerField(default=0)),
                ('inputs', models.BigIntegerField(default=0)),
                ('input_tokens', models.BigIntegerField(default=0)),
                ('input_estimate', models.BigIntegerField(default=0)),
                ('input_tokens_squared', models.BigIntegerField(default=0)),
                ('input_estimate_squared', models.BigIntegerField(default=0)),
                ('input_product', models.BigIntegerField(default=0)),
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
                ('day', models.DateTimeField(help_text='Its start.')),
            ],
            options={
                'db_table': 'day_sums',
                'constraints': [models.UniqueConstraint(fields=('dimension', 'day', 'value'), name='one_sum_a_day')],
            },
        ),
    ]
