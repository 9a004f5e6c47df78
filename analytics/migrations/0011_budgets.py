import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0010_api_keys'),
    ]

    operations = [
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('webhook', models.URLField(blank=True, help_text='Gets a JSON POST whose text field chat services show as it is.', max_length=500, validators=[django.core.validators.URLValidator(schemes=['http', 'https'])])),
                ('emails', models.CharField(blank=True, help_text='Separated by commas.', max_length=500)),
                ('name', models.CharField(max_length=100, unique=True)),
                ('enabled', models.BooleanField(default=True, help_text='Off: it only counts.')),
                ('scope', models.CharField(choices=[('everything', 'everything'), ('key', 'API key'), ('user', 'user'), ('team', 'team'), ('project', 'project'), ('provider', 'provider'), ('model', 'model')], default='everything', max_length=10)),
                ('subject', models.CharField(blank=True, help_text="Which one: a user, a team's or project's name, the beginning of a key, a provider, or provider/model. Empty: each on its own.", max_length=200)),
                ('period', models.CharField(choices=[('minute', 'minute'), ('hour', 'hour'), ('day', 'day'), ('week', 'week, from Monday'), ('month', 'month'), ('rolling', 'rolling')], default='month', max_length=10)),
                ('rolling_minutes', models.PositiveIntegerField(blank=True, help_text='Length of a rolling period; what was spent is free again in steps of 1/120.', null=True, validators=[django.core.validators.MinValueValidator(1)])),
                ('time_zone', models.CharField(default='UTC', help_text='In which days, weeks and months begin.', max_length=64)),
                ('limit', models.DecimalField(blank=True, decimal_places=10, help_text='USD; never passed.', max_digits=20, null=True, validators=[django.core.validators.MinValueValidator(0)])),
                ('soft_limit', models.DecimalField(blank=True, decimal_places=10, help_text='USD; above it people are told, and nothing is refused.', max_digits=20, null=True, validators=[django.core.validators.MinValueValidator(0)])),
                ('at_limit', models.CharField(choices=[('refuse', 'refuse the request'), ('downgrade', 'use cheaper models while one fits, then refuse')], default='refuse', max_length=10)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('changed_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                'db_table': 'budgets',
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='Worker',
            fields=[
                ('id', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('seen_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'db_table': 'workers',
            },
        ),
        migrations.AddField(
            model_name='apikey',
            name='origin',
            field=models.CharField(default='', editable=False, help_text='The prefix of the first of its predecessors.', max_length=16),
        ),
        migrations.AlterField(
            model_name='alert',
            name='rule',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='alerts', to='analytics.alertrule'),
        ),
        migrations.CreateModel(
            name='BudgetAccount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject', models.CharField(blank=True, max_length=200)),
                ('budget', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='accounts', to='analytics.budget')),
            ],
            options={
                'db_table': 'budget_accounts',
                'ordering': ('budget', 'subject'),
            },
        ),
        migrations.CreateModel(
            name='BudgetHold',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('request_id', models.UUIDField()),
                ('start', models.DateTimeField()),
                ('amount', models.DecimalField(decimal_places=10, max_digits=20)),
                ('model', models.CharField(max_length=200)),
                ('worker', models.CharField(max_length=32)),
                ('made_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('lost_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='holds', to='analytics.budgetaccount')),
            ],
            options={
                'db_table': 'budget_holds',
                'ordering': ('-made_at',),
            },
        ),
        migrations.CreateModel(
            name='BudgetUsage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('start', models.DateTimeField()),
                ('spent', models.DecimalField(decimal_places=10, default=Decimal('0'), max_digits=20)),
                ('requests', models.PositiveIntegerField(default=0)),
                ('refused', models.PositiveIntegerField(default=0)),
                ('soft_passed_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='usage', to='analytics.budgetaccount')),
            ],
            options={
                'verbose_name': 'budget use',
                'verbose_name_plural': 'budget use',
                'db_table': 'budget_usage',
                'ordering': ('-start',),
            },
        ),
        migrations.AddField(
            model_name='alert',
            name='usage',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='alert', to='analytics.budgetusage'),
        ),
        migrations.AddConstraint(
            model_name='budgetaccount',
            constraint=models.UniqueConstraint(fields=('budget', 'subject'), name='one_account'),
        ),
        migrations.AddIndex(
            model_name='budgethold',
            index=models.Index(fields=['account', 'start'], name='budget_holds_account'),
        ),
        migrations.AddConstraint(
            model_name='budgethold',
            constraint=models.UniqueConstraint(fields=('request_id', 'account'), name='one_hold'),
        ),
        migrations.AddIndex(
            model_name='budgetusage',
            index=models.Index(condition=models.Q(('soft_passed_at__isnull', False)), fields=['soft_passed_at'], name='budget_usage_soft'),
        ),
        migrations.AddConstraint(
            model_name='budgetusage',
            constraint=models.UniqueConstraint(fields=('account', 'start'), name='one_usage'),
        ),
    ]
