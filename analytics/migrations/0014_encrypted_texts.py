import analytics.encryption
import django.core.serializers.json
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0013_tenants_own'),
    ]

    operations = [
        migrations.AlterField(
            model_name='cachedresponse',
            name='answer',
            field=analytics.encryption.EncryptedJSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, help_text='The whole answer, where it is more than its text.', null=True),
        ),
        migrations.AlterField(
            model_name='cachedresponse',
            name='prompt',
            field=analytics.encryption.EncryptedTextField(blank=True),
        ),
        migrations.AlterField(
            model_name='cachedresponse',
            name='response',
            field=analytics.encryption.EncryptedTextField(),
        ),
        migrations.AlterField(
            model_name='requestrecord',
            name='prompt',
            field=analytics.encryption.EncryptedTextField(blank=True),
        ),
    ]
