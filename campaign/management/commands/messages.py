"""Gather the texts to translate and compile the translations, without GNU gettext.

    manage.py messages

reads every text marked for translation in Campaign's Python and templates, and those of installed libraries
that have no French of their own (the admin theme has none); writes them to locale/fr/LC_MESSAGES/django.po,
where translations made before stay and texts no longer used go; and compiles django.mo beside it. Both files
are committed. It needs Babel, which the tests' packages have.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from django.apps import AppConfig, apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation.template import templatize

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

BASE = Path(settings.BASE_DIR)
PO = BASE / "locale" / "fr" / "LC_MESSAGES" / "django.po"
MO = PO.with_suffix(".mo")

# Where the texts stand among the arguments of each function, as Babel writes it.
_ONE, _PLURAL, _CONTEXT, _CONTEXT_PLURAL = None, (1, 2), ((1, "c"), 2), ((1, "c"), 2, 3)
KEYWORDS: dict[str, Any] = {"_": _ONE, "gettext_noop": _ONE}
for _suffix in ("", "_lazy"):
    KEYWORDS |= {
        f"gettext{_suffix}": _ONE,
        f"ngettext{_suffix}": _PLURAL,
        f"pgettext{_suffix}": _CONTEXT,
        f"npgettext{_suffix}": _CONTEXT_PLURAL,
    }
# The catalogue carries dates; a fixed one lets the files change only when their texts do.
_STAMP = datetime(2000, 1, 1, tzinfo=UTC)
_HEADER = "# The French of Campaign. `make messages` gathers its texts; write only the msgstr lines."

# Message ids with their context: a text may mean two things.
Key = tuple[str | None, str | list[str] | tuple[str, ...]]


class Command(BaseCommand):
    help = "Gather the texts to translate into locale/ and compile their French."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            import babel  # noqa: F401
        except ImportError as error:
            raise CommandError("Babel is missing: pip install -r requirements/dev.txt") from error
        catalog = gather(read())
        PO.parent.mkdir(parents=True, exist_ok=True)
        PO.write_bytes(po_bytes(catalog))
        MO.write_bytes(mo_bytes(catalog))
        missing = [message for message in catalog if message.id and not is_translated(message.string)]
        self.stdout.write(f"{len(catalog)} texts, {len(missing)} without French")
        for message in missing:
            place = message.locations[0][0] if message.locations else ""
            self.stdout.write(f"  {place}: {message.id!r}")


def read() -> "Catalog":
    """Return the French as it is committed; empty when there is none yet."""
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import read_po

    if not PO.exists():
        return Catalog(locale="fr")
    with PO.open("rb") as file:
        return read_po(file, locale="fr")


def gather(known: "Catalog") -> "Catalog":
    """Return every text in use, with the French that `known` has for it."""
    from babel.messages.catalog import Catalog

    catalog = Catalog(
        locale="fr",
        header_comment=_HEADER,
        project="Campaign",
        version="1",
        msgid_bugs_address="-",
        last_translator="-",
        language_team="French",
        fuzzy=False,
        creation_date=_STAMP,
        revision_date=_STAMP,
    )
    for place, key, comments in _texts():
        context, text = key
        before = known.get(text if isinstance(text, str) else text[0], context)
        keep = before is not None and isinstance(before.id, str) == isinstance(text, str)
        catalog.add(
            text,
            before.string if before is not None and keep else None,
            locations=[(place, None)],  # type: ignore[list-item]
            auto_comments=comments,
            user_comments=before.user_comments if before is not None else (),
            context=context,
        )
    return catalog


def po_bytes(catalog: "Catalog") -> bytes:
    """Return the catalogue as the text that people edit."""
    from babel.messages.pofile import write_po

    output = BytesIO()
    # No line numbers: they would make two branches conflict wherever a line moved.
    write_po(output, catalog, width=100, include_lineno=False, ignore_obsolete=True)
    return output.getvalue()


def mo_bytes(catalog: "Catalog") -> bytes:
    """Return the catalogue as what gettext reads."""
    from babel.messages.mofile import write_mo

    output = BytesIO()
    write_mo(output, catalog)
    return output.getvalue()


def is_translated(string: Any) -> bool:
    """Tell whether a message has its French, all of its plural forms included."""
    return all(string) if isinstance(string, (list, tuple)) else bool(string)


def _texts() -> Iterator[tuple[str, Key, list[str]]]:
    """Yield (file, text with its context, translator's comments): ours, then what libraries show untranslated."""
    ours = [Path(config.path) for config in apps.get_app_configs() if _is_ours(config)]
    for root in sorted([BASE / "templates", *ours]):
        yield from _folder(root, BASE)
    french = _french_of_libraries()
    for config in apps.get_app_configs():
        if not _is_ours(config) and not config.name.startswith("django."):  # Django speaks French
            root = Path(config.path)
            for place, key, comments in _folder(root, root.parent):
                if _first(key) not in french:
                    yield place, key, comments


def _is_ours(config: AppConfig) -> bool:
    """Tell our applications from libraries in a virtual environment inside our folder."""
    return Path(config.path).parent == BASE


def _folder(root: Path, base: Path) -> Iterator[tuple[str, Key, list[str]]]:
    """Yield the texts of a folder, without applications inside it that are not installed."""
    for path in sorted(root.rglob("*")):
        place = path.relative_to(base).as_posix()
        if {"migrations", "static", "contrib"} & set(path.relative_to(root).parts):
            continue
        if path.suffix == ".py":
            source = path.read_bytes()
        elif path.suffix in {".html", ".txt"} and "templates" in path.parts:
            # What surrounds the texts of a template is noise: without its indentation Python's reader accepts it.
            lines = templatize(path.read_text(encoding="utf-8"), origin=place).splitlines()
            source = "\n".join(line.lstrip() for line in lines).encode()
        else:
            continue
        for key, comments in _calls(source):
            yield place, key, comments


def _calls(source: bytes) -> Iterator[tuple[Key, list[str]]]:
    from babel.messages.extract import extract

    options = {"encoding": "utf-8"}
    for _line, text, comments, context in extract(
        "python", BytesIO(source), KEYWORDS, comment_tags=("Translators:",), options=options, strip_comment_tags=True
    ):
        if text:
            yield (context, text), comments


def _french_of_libraries() -> set[Key]:
    """Return the texts that Django and the installed libraries have in French."""
    from babel.messages.mofile import read_mo

    folders = [Path(django.__file__).parent / "conf"]
    folders += [Path(config.path) for config in apps.get_app_configs() if not _is_ours(config)]
    known: set[Key] = set()
    for folder in folders:
        path = folder / "locale" / "fr" / "LC_MESSAGES" / "django.mo"
        if path.exists():
            with path.open("rb") as file:
                known |= {_first((message.context, message.id)) for message in read_mo(file)}
    return known


def _first(key: Key) -> Key:
    """Return a key by its singular alone, as gettext looks texts up."""
    context, text = key
    return context, text if isinstance(text, str) else text[0]
