import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0014_encrypted_texts'),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='auto_route',
            field=models.BooleanField(default=False, help_text='Learned routing for /complete where a request does not say.'),
        ),
        migrations.AddField(
            model_name='apikey',
            name='cost_cap',
            field=models.DecimalField(blank=True, decimal_places=10, help_text='USD a request may cost at most; it may ask for less.', max_digits=20, null=True, validators=[django.core.validators.MinValueValidator(0)]),
        ),
        migrations.AddField(
            model_name='apikey',
            name='quality_target',
            field=models.FloatField(blank=True, help_text='0 to 1; a request may ask for more, not for less.', null=True, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(1)]),
        ),
    ]
