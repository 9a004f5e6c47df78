from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0015_key_wishes'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='requestrecord',
            options={'permissions': (('ask_requestrecord', 'Can ask models in the playground'),), 'verbose_name': 'request'},
        ),
        migrations.AlterField(
            model_name='feedback',
            name='source',
            field=models.CharField(choices=[('client', 'given by a client'), ('operator', 'given in the admin'), ('import', 'imported outcome'), ('replay', 'replayed outcome')], default='client', max_length=10),
        ),
        migrations.AlterField(
            model_name='requestrecord',
            name='endpoint',
            field=models.CharField(choices=[('complete', '/complete'), ('chat/completions', 'OpenAI chat completions'), ('responses', 'OpenAI responses'), ('embeddings', 'OpenAI embeddings'), ('messages', 'Anthropic messages'), ('playground', "the admin's playground")], default='complete', max_length=32),
        ),
    ]
