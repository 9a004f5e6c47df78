from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0026_strict_keys'),
    ]

    operations = [
        migrations.AddField(
            model_name='budgethold',
            name='api_key',
            field=models.CharField(blank=True, db_default='', default='', max_length=16, verbose_name='API key'),
        ),
        migrations.AddField(
            model_name='budgethold',
            name='user_id',
            field=models.CharField(blank=True, db_default='', default='', max_length=128),
        ),
        migrations.AddField(
            model_name='budgethold',
            name='tenant',
            field=models.CharField(blank=True, db_default='', default='', max_length=80),
        ),
        migrations.AddField(
            model_name='budgethold',
            name='project',
            field=models.CharField(blank=True, db_default='', default='', max_length=64),
        ),
        migrations.AddField(
            model_name='budgethold',
            name='endpoint',
            field=models.CharField(blank=True, db_default='', default='', max_length=32),
        ),
        migrations.AddField(
            model_name='budgethold',
            name='asked_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='budgethold',
            name='tokens_in',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='budgethold',
            name='tokens_out',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='budgethold',
            name='estimate',
            field=models.DecimalField(decimal_places=10, max_digits=20, null=True),
        ),
    ]
