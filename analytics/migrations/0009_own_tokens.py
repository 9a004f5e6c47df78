from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0008_alerts'),
    ]

    operations = [
        migrations.AddField(
            model_name='hourlytotal',
            name='input_estimate',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='hourlytotal',
            name='input_estimate_squared',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='hourlytotal',
            name='input_product',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='hourlytotal',
            name='input_tokens',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='hourlytotal',
            name='input_tokens_squared',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='hourlytotal',
            name='inputs',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='requestrecord',
            name='tokens_estimated',
            field=models.PositiveIntegerField(default=0, help_text='Of the input, by its characters: the same for every tokenizer.'),
        ),
    ]
