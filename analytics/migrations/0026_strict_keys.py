from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0025_provider_objects'),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='strict',
            field=models.BooleanField(db_default=False, default=False, help_text='Refuse a request rather than leave out fields that a model does not take.'),
        ),
    ]
