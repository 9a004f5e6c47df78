from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0096_notifications_of_alerts'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='alert',
            name='one_alert_a_period',
        ),
        # Workers of the version before still read and write these columns.
        migrations.AlterField(
            model_name='alert',
            name='attempts',
            field=models.PositiveIntegerField(default=0, db_default=0),
        ),
        migrations.AlterField(
            model_name='alert',
            name='error',
            field=models.CharField(max_length=300, blank=True, default='', db_default=''),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveField(model_name='alert', name='attempts'),
                migrations.RemoveField(model_name='alert', name='claimed_at'),
                migrations.RemoveField(model_name='alert', name='delivered_at'),
                migrations.RemoveField(model_name='alert', name='error'),
            ],
        ),
        migrations.AddConstraint(
            model_name='alert',
            constraint=models.UniqueConstraint(fields=('rule', 'period_start', 'subject', 'episode'), name='one_alert_an_episode'),
        ),
        migrations.AddConstraint(
            model_name='alert',
            constraint=models.UniqueConstraint(condition=models.Q(('resolved_at__isnull', True)), fields=('rule', 'subject'), name='one_open_alert'),
        ),
    ]
