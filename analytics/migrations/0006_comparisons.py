import django.core.serializers.json
import django.db.models.deletion
import django.utils.timezone
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0005_hourly_totals'),
    ]

    operations = [
        migrations.CreateModel(
            name='Comparison',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('source', models.CharField(choices=[('judge', 'judged by a model'), ('replay', 'recorded outcomes')], max_length=10)),
                ('pattern', models.CharField(max_length=20)),
                ('tier', models.CharField(max_length=10)),
                ('strategy', models.CharField(blank=True, max_length=20)),
                ('provider', models.CharField(max_length=64)),
                ('model', models.CharField(max_length=128)),
                ('score', models.FloatField(blank=True, help_text='Unknown where the judging failed; its cost stands.', null=True)),
                ('expected', models.FloatField(blank=True, null=True)),
                ('served', models.BooleanField(default=True)),
                ('reference_provider', models.CharField(max_length=64)),
                ('reference_model', models.CharField(max_length=128)),
                ('reference_score', models.FloatField(blank=True, null=True)),
                ('judge', models.CharField(blank=True, max_length=200)),
                ('judge_cost', models.DecimalField(decimal_places=10, default=Decimal('0'), max_digits=20)),
                ('answer_cost', models.DecimalField(decimal_places=10, default=Decimal('0'), max_digits=20)),
                ('verdicts', models.JSONField(blank=True, default=list, encoder=django.core.serializers.json.DjangoJSONEncoder)),
                ('error', models.CharField(blank=True, max_length=200)),
                ('request', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='comparisons', to='analytics.requestrecord')),
            ],
            options={
                'db_table': 'comparisons',
                'indexes': [models.Index(fields=['-created_at'], name='comparisons_created')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('reference_score__gte', 0), ('reference_score__lte', 1), ('score__gte', 0), ('score__lte', 1)), models.Q(('reference_score__isnull', True), ('score__isnull', True)), _connector='OR'), name='compared_0_to_1')],
            },
        ),
    ]
