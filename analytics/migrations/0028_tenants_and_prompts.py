from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0027_hold_origins'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='requestrecord',
            options={'permissions': (('ask_requestrecord', 'Can ask models in the playground'), ('view_prompts', 'Can view prompts, answers and comments')), 'verbose_name': 'request'},
        ),
        migrations.RemoveConstraint(
            model_name='learnedevidence',
            name='one_evidence_a_kind',
        ),
        migrations.AddField(
            model_name='feedback',
            name='tenant',
            field=models.CharField(blank=True, db_default='', default='', max_length=80),
        ),
        migrations.AddField(
            model_name='learnedevidence',
            name='tenant',
            field=models.CharField(blank=True, db_default='', default='', max_length=80),
        ),
        migrations.AddConstraint(
            model_name='learnedevidence',
            constraint=models.UniqueConstraint(fields=('pattern', 'tier', 'provider', 'model', 'tenant'), name='one_evidence_a_kind'),
        ),
    ]
