import analytics.models.keys
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0009_own_tokens'),
    ]

    operations = [
        migrations.CreateModel(
            name='Team',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64, unique=True)),
            ],
            options={
                'db_table': 'teams',
                'ordering': ('name',),
            },
        ),
        migrations.AddField(
            model_name='requestrecord',
            name='api_key',
            field=models.CharField(blank=True, help_text='Its beginning.', max_length=16, verbose_name='API key'),
        ),
        migrations.AddField(
            model_name='requestrecord',
            name='project',
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name='requestrecord',
            name='tenant',
            field=models.CharField(blank=True, max_length=80),
        ),
        migrations.CreateModel(
            name='Project',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64, unique=True)),
                ('tags', models.JSONField(blank=True, default=list)),
                ('team', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='analytics.team')),
            ],
            options={
                'db_table': 'projects',
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('prefix', models.CharField(editable=False, max_length=16, unique=True)),
                ('digest', models.CharField(editable=False, max_length=64, unique=True)),
                ('user', models.CharField(blank=True, help_text='Who all its requests are by; empty: whoever the client says.', max_length=128)),
                ('scopes', models.JSONField(default=analytics.models.keys.default_scopes)),
                ('model_names', models.JSONField(blank=True, default=list, verbose_name='models')),
                ('addresses', models.JSONField(blank=True, default=list)),
                ('requests_per_minute', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)])),
                ('tokens_per_minute', models.PositiveIntegerField(blank=True, help_text='Of input and output.', null=True, validators=[django.core.validators.MinValueValidator(1)])),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('changed_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('project', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='analytics.project')),
                ('team', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='analytics.team')),
            ],
            options={
                'verbose_name': 'API key',
                'db_table': 'api_keys',
                'ordering': ('name',),
                'indexes': [models.Index(fields=['-changed_at'], name='api_keys_changed')],
            },
        ),
    ]
