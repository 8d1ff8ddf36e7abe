"""Say how well messages that come back are understood, or write them as files.

python -m tests.quarantine            the measures, and each miss
python -m tests.quarantine FOLDER     write the samples there, one file each, as a mail server would
"""

import os
import sys
from pathlib import Path

import django


def main(arguments: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from tests.quarantine import corpus, measures

    if arguments:
        corpus.write(Path(arguments[0]))
        return
    looked_at = measures.all_votes()
    lines, _broken = measures.table(looked_at)
    sys.stdout.write("\n".join([*lines, "", *sorted(measures.misses(looked_at)), ""]))


if __name__ == "__main__":
    main(sys.argv[1:])
