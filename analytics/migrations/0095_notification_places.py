import analytics.encryption
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0094_lever_comparisons'),
    ]

    operations = [
        migrations.CreateModel(
            name='Digest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('webhook', analytics.encryption.EncryptedTextField(blank=True, help_text='Receives a JSON POST. Chat services show its text field. It is a secret, and only its end is shown.')),
                ('emails', models.CharField(blank=True, help_text='Separated by commas.', max_length=500)),
                ('name', models.CharField(max_length=100, unique=True)),
                ('enabled', models.BooleanField(default=True)),
                ('period', models.CharField(choices=[('week', 'week, from Monday'), ('month', 'month')], default='week', max_length=10)),
                ('scope', models.CharField(choices=[('everything', 'everything'), ('team', 'team'), ('project', 'project')], default='everything', max_length=10)),
                ('subject', models.CharField(blank=True, help_text='The name of the team or project.', max_length=80)),
                ('time_zone', models.CharField(default='UTC', max_length=64)),
                ('hour', models.PositiveSmallIntegerField(default=8, help_text='Hour of the day, 0 to 23.', validators=[django.core.validators.MaxValueValidator(23)])),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                'db_table': 'digests',
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='DigestIssue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('period_start', models.DateField()),
                ('made_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('content', models.JSONField(default=dict)),
            ],
            options={
                'db_table': 'digest_issues',
                'ordering': ('-made_at',),
            },
        ),
        migrations.CreateModel(
            name='Notification',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event', models.CharField(choices=[('raised', 'raised'), ('resolved', 'resolved'), ('digest', 'digest')], max_length=10)),
                ('direct', models.CharField(blank=True, choices=[('', 'channel'), ('webhook', 'webhook'), ('email', 'e-mail')], default='', max_length=10)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now, null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('error', models.CharField(blank=True, max_length=300)),
                ('delivered_at', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'notifications',
                'ordering': ('-created_at',),
            },
        ),
        migrations.CreateModel(
            name='NotificationChannel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('enabled', models.BooleanField(default=True)),
                ('kind', models.CharField(choices=[('slack', 'Slack'), ('teams', 'Microsoft Teams (Workflows)'), ('webhook', 'webhook, signed JSON'), ('email', 'e-mail')], default='slack', max_length=10)),
                ('address', analytics.encryption.EncryptedTextField(blank=True, help_text="The webhook's address. It is a secret, and only its end is shown.")),
                ('emails', models.CharField(blank=True, help_text='Separated by commas.', max_length=500)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                'db_table': 'notification_channels',
                'ordering': ('name',),
            },
        ),
        migrations.AddField(
            model_name='alert',
            name='calm_since',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='alert',
            name='end_text',
            field=models.CharField(blank=True, db_default='', default='', max_length=500),
        ),
        migrations.AddField(
            model_name='alert',
            name='episode',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='alert',
            name='notified',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='alert',
            name='resolved_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='alertrule',
            name='checked_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='alertrule',
            name='key',
            field=models.CharField(blank=True, db_default='', default='', help_text='The beginning of the key, as lists show it.', max_length=16, verbose_name='API key'),
        ),
        migrations.AddField(
            model_name='alertrule',
            name='last_text',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=500),
        ),
        migrations.AddField(
            model_name='alertrule',
            name='last_value',
            field=models.DecimalField(decimal_places=10, editable=False, max_digits=24, null=True),
        ),
        migrations.AddField(
            model_name='alertrule',
            name='model',
            field=models.CharField(blank=True, db_default='', default='', help_text='provider/model', max_length=200),
        ),
        migrations.AddField(
            model_name='alertrule',
            name='muted_until',
            field=models.DateTimeField(blank=True, help_text='Until then, nobody is notified.', null=True),
        ),
        migrations.AddField(
            model_name='alertrule',
            name='notify_resolved',
            field=models.BooleanField(db_default=True, default=True, help_text='Events, such as a session that runs away, are never over.', verbose_name='notify when it is over'),
        ),
        migrations.AddField(
            model_name='alertrule',
            name='project',
            field=models.CharField(blank=True, db_default='', default='', max_length=64),
        ),
        migrations.AddField(
            model_name='alertrule',
            name='provider',
            field=models.CharField(blank=True, db_default='', default='', max_length=64),
        ),
        migrations.AddField(
            model_name='alertrule',
            name='team',
            field=models.CharField(blank=True, db_default='', default='', max_length=80),
        ),
        migrations.AddField(
            model_name='alertrule',
            name='window_minutes',
            field=models.PositiveIntegerField(db_default=15, default=15, help_text='For failed requests and latency: the last so many minutes.', validators=[django.core.validators.MinValueValidator(5), django.core.validators.MaxValueValidator(1440)]),
        ),
        migrations.AlterField(
            model_name='alertrule',
            name='metric',
            field=models.CharField(choices=[('spend', 'spend above, USD'), ('unusual', 'spend unusually high, by at least, USD'), ('forecast', 'forecast of the month above, USD'), ('budget', 'a budget is used to 50, 80 or 100 %, from, %'), ('errors', 'failed requests above, %'), ('latency', 'latency (95th percentile) above, ms'), ('slower', 'latency (95th percentile) above its usual one, times'), ('circuit', "a provider's circuit is open (any limit)"), ('savings', 'savings below, % of the baseline'), ('quality', "quality surely below the baseline's by more than, 0-1"), ('invoice', "differs from the providers' invoices by more than, %"), ('runaway', 'a session runs away, having cost at least, USD'), ('autopilot', 'the autopilot moves traffic or takes it back (any limit)')], default='spend', max_length=10),
        ),
        migrations.AlterField(
            model_name='alertrule',
            name='period',
            field=models.CharField(choices=[('day', 'day'), ('week', 'week'), ('month', 'month')], default='day', help_text='For spend, savings, quality, invoices, runaway sessions and the autopilot.', max_length=10),
        ),
        migrations.AlterField(
            model_name='alertrule',
            name='webhook',
            field=analytics.encryption.EncryptedTextField(blank=True, help_text='Receives a JSON POST. Chat services show its text field. It is a secret, and only its end is shown.'),
        ),
        migrations.AlterField(
            model_name='budget',
            name='webhook',
            field=analytics.encryption.EncryptedTextField(blank=True, help_text='Receives a JSON POST. Chat services show its text field. It is a secret, and only its end is shown.'),
        ),
        migrations.AddField(
            model_name='digestissue',
            name='digest',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='issues', to='analytics.digest'),
        ),
        migrations.AddField(
            model_name='notification',
            name='alert',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='analytics.alert'),
        ),
        migrations.AddField(
            model_name='notification',
            name='issue',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='analytics.digestissue'),
        ),
        migrations.AddField(
            model_name='notification',
            name='channel',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='analytics.notificationchannel'),
        ),
        migrations.AddField(
            model_name='digest',
            name='channels',
            field=models.ManyToManyField(blank=True, related_name='%(class)ss', to='analytics.notificationchannel'),
        ),
        migrations.AddField(
            model_name='alertrule',
            name='channels',
            field=models.ManyToManyField(blank=True, related_name='%(class)ss', to='analytics.notificationchannel'),
        ),
        migrations.AddField(
            model_name='budget',
            name='channels',
            field=models.ManyToManyField(blank=True, related_name='%(class)ss', to='analytics.notificationchannel'),
        ),
        migrations.AddConstraint(
            model_name='digestissue',
            constraint=models.UniqueConstraint(fields=('digest', 'period_start'), name='one_issue_a_period'),
        ),
        migrations.AddIndex(
            model_name='notification',
            index=models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='notifications_due'),
        ),
    ]
