import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0007_experiments'),
    ]

    operations = [
        migrations.CreateModel(
            name='AlertRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('enabled', models.BooleanField(default=True)),
                ('metric', models.CharField(choices=[('spend', 'spend above, USD'), ('savings', 'savings below, % of the baseline'), ('quality', "quality surely lower than the baseline's by more than, 0-1")], default='spend', max_length=10)),
                ('limit', models.DecimalField(decimal_places=4, max_digits=20)),
                ('period', models.CharField(choices=[('day', 'day'), ('week', 'week'), ('month', 'month')], default='day', max_length=10)),
                ('user', models.CharField(blank=True, help_text="Only this user's spend; empty for everybody's.", max_length=128)),
                ('tag', models.CharField(blank=True, help_text='Only requests with this tag.', max_length=128)),
                ('webhook', models.URLField(blank=True, help_text='Gets a JSON POST whose text field chat services show as it is.', max_length=500, validators=[django.core.validators.URLValidator(schemes=['http', 'https'])])),
                ('emails', models.CharField(blank=True, help_text='Separated by commas.', max_length=500)),
            ],
            options={
                'db_table': 'alert_rules',
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='Alert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('period_start', models.DateField()),
                ('raised_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('value', models.DecimalField(decimal_places=10, max_digits=24)),
                ('text', models.CharField(max_length=500)),
                ('claimed_at', models.DateTimeField(null=True)),
                ('delivered_at', models.DateTimeField(null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('error', models.CharField(blank=True, max_length=300)),
                ('rule', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='alerts', to='analytics.alertrule')),
            ],
            options={
                'db_table': 'alerts',
                'ordering': ('-raised_at',),
                'constraints': [models.UniqueConstraint(fields=('rule', 'period_start'), name='one_alert_a_period')],
            },
        ),
    ]
