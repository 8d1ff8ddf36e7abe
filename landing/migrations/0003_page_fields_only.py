from django.db import migrations


class Migration(migrations.Migration):
    """Apart from the one before: PostgreSQL alters no table whose rows changed in the same transaction."""

    dependencies = [("landing", "0002_page_fields")]

    operations = [
        migrations.RemoveField(
            model_name='landingpage',
            name='ask_name',
        ),
        migrations.RemoveField(
            model_name='landingpageversion',
            name='ask_name',
        ),
        migrations.RemoveField(
            model_name='pendingoptin',
            name='first_name',
        ),
        migrations.RemoveField(
            model_name='pendingoptin',
            name='last_name',
        ),
    ]
