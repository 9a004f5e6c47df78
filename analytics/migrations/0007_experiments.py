import django.core.validators
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0006_comparisons'),
    ]

    operations = [
        migrations.CreateModel(
            name='Experiment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60, unique=True, validators=[django.core.validators.RegexValidator('^[\\w.-]+$', "Letters, digits, '.', '-' and '_' only.")])),
                ('note', models.CharField(blank=True, help_text='What it is to find out.', max_length=500)),
                ('unit', models.CharField(choices=[('user', 'users'), ('session', 'sessions'), ('request', 'requests')], default='user', help_text='Who is split. Requests that do not say their user or session take no part.', max_length=10)),
                ('control', models.CharField(default='complexity', max_length=200)),
                ('treatment', models.CharField(default='hybrid', max_length=200)),
                ('share', models.FloatField(default=0.5, help_text='Of the units that get the treatment, 0.01 to 0.99.', validators=[django.core.validators.MinValueValidator(0.01), django.core.validators.MaxValueValidator(0.99)])),
                ('planned_units', models.PositiveIntegerField(default=1000, help_text='manage.py experiments plan.', validators=[django.core.validators.MinValueValidator(100)])),
                ('quality_harm', models.FloatField(default=0.05, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(1.0)])),
                ('failure_harm', models.FloatField(default=0.02, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(1.0)])),
                ('status', models.CharField(choices=[('draft', 'not begun'), ('running', 'running'), ('stopped', 'ended')], default='draft', max_length=10)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('end_reason', models.CharField(blank=True, max_length=300)),
            ],
            options={
                'db_table': 'experiments',
                'ordering': ('-created_at',),
            },
        ),
        migrations.AddField(
            model_name='requestrecord',
            name='arm',
            field=models.CharField(blank=True, max_length=10),
        ),
        migrations.AddField(
            model_name='requestrecord',
            name='experiment',
            field=models.CharField(blank=True, max_length=60),
        ),
        migrations.AddIndex(
            model_name='requestrecord',
            index=models.Index(condition=models.Q(('experiment', ''), _negated=True), fields=['experiment', 'arm'], name='requests_experiment'),
        ),
        migrations.AddConstraint(
            model_name='experiment',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'running')), fields=('status',), name='one_experiment_at_a_time'),
        ),
    ]
