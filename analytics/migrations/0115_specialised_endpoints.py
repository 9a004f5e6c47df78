from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0111_guardrails'),
    ]

    operations = [
        migrations.AlterField(
            model_name='requestrecord',
            name='endpoint',
            field=models.CharField(choices=[('complete', '/complete'), ('chat/completions', 'OpenAI chat completions'), ('completions', 'OpenAI completions'), ('responses', 'OpenAI responses'), ('embeddings', 'embeddings'), ('messages', 'Anthropic messages'), ('generateContent', 'Gemini generateContent'), ('images/generations', 'images'), ('images/edits', 'edits of images'), ('audio/transcriptions', 'transcriptions of audio'), ('audio/translations', 'translations of audio'), ('audio/speech', 'speech'), ('moderations', 'moderations'), ('rerank', 'ranking of documents'), ('batches', 'batches'), ('playground', "the admin's playground")], default='complete', max_length=32),
        ),
    ]
