from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0012_concurrent_requests'),
    ]

    operations = [
        migrations.AddField(
            model_name='cachedresponse',
            name='tenant',
            field=models.CharField(blank=True, help_text='Whose it is alone.', max_length=80),
        ),
        migrations.AddIndex(
            model_name='requestrecord',
            index=models.Index(condition=models.Q(('tenant', ''), _negated=True), fields=['tenant', '-created_at'], name='requests_tenant'),
        ),
    ]
