"""Every text has its French: complete, with the same placeholders, and compiled. `make messages` gathers them."""

import re
from io import BytesIO

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import read_mo

from campaign.management.commands.messages import MO, gather, is_translated, mo_bytes, read

PLACEHOLDER = re.compile(r"%\((\w+)\)[a-z]|(%[sd])|\{(\w*)\}")


@pytest.fixture(scope="module")
def committed() -> Catalog:
    return read()


def messages(catalog: Catalog) -> list[Message]:
    """Return the texts of a catalogue; its first message is its header."""
    return [message for message in catalog if message.id]


def forms(text: str | list[str] | tuple[str, ...]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


def placeholders(text: str) -> set[str]:
    return {match[0] for match in PLACEHOLDER.finditer(text.replace("%%", ""))}


def test_the_catalogue_holds_exactly_the_texts_in_use(committed: Catalog) -> None:
    in_use = {(message.context, *forms(message.id)) for message in messages(gather(committed))}
    written = {(message.context, *forms(message.id)) for message in messages(committed)}
    assert written == in_use, "run `make messages`"
    assert not committed.obsolete, "run `make messages`"


def test_every_text_has_its_french(committed: Catalog) -> None:
    assert [message.id for message in messages(committed) if not is_translated(message.string)] == []


def test_no_translation_is_a_guess(committed: Catalog) -> None:
    assert [message.id for message in messages(committed) if message.fuzzy] == []


def test_translations_keep_the_placeholders(committed: Catalog) -> None:
    wrong = []
    for message in filter(lambda message: is_translated(message.string), messages(committed)):
        # The last form is the plural; a singular may say "one" and leave the number out.
        ids, strings = forms(message.id), forms(message.string or "")
        allowed = set().union(*map(placeholders, ids))
        if placeholders(strings[-1]) != placeholders(ids[-1]) or any(placeholders(s) - allowed for s in strings):
            wrong.append(message.id)
    assert wrong == []


def test_french_punctuation_never_starts_a_line(committed: Catalog) -> None:
    """A no-break space, thin or full, stands before ; : ! ? » and after «."""
    breakable = re.compile(r" [;:!?»]|« |\w[!?»]|«\w")
    french = [string for message in messages(committed) for string in forms(message.string or "")]
    # Addresses and markup have their own punctuation.
    plain = {string: re.sub(r"<[^>]*>|\S*[/=]\S*", "", string) for string in french}
    assert [string for string, text in plain.items() if breakable.search(text)] == []


def test_the_compiled_french_is_that_of_the_catalogue(committed: Catalog) -> None:
    compiled, fresh = (read_mo(BytesIO(content)) for content in (MO.read_bytes(), mo_bytes(committed)))
    assert {(m.context, *forms(m.id)): m.string for m in messages(compiled)} == {
        (m.context, *forms(m.id)): m.string for m in messages(fresh)
    }, "run `make messages`"
