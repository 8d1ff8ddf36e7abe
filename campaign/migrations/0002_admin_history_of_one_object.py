from django.db import migrations

# The history of one object is read on the page of each person; Django's own table has no index for it.
INDEX = "admin_log_by_object"


class Migration(migrations.Migration):

    dependencies = [
        ("campaign", "0001_initial"),
        ("admin", "0003_logentry_add_action_flag_choices"),
    ]

    operations = [
        migrations.RunSQL(
            f"CREATE INDEX {INDEX} ON django_admin_log (content_type_id, object_id, id)",
            f"DROP INDEX {INDEX}",
        )
    ]
