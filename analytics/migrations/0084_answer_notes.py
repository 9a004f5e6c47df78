"""Rules may have a note on the length or form of answers."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("analytics", "0083_session_service_tier")]

    operations = [
        migrations.AddField(
            model_name="routingrule",
            name="answer_note",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="What the model is told of the answer's length or form, if the lever "
                "“short_answers” is in use: Answer in at most three sentences.",
                max_length=500,
            ),
        ),
        migrations.AddField(
            model_name="routingrule",
            name="note_everywhere",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Also for requests with tools or with a form of output, such as JSON.",
            ),
        ),
    ]
