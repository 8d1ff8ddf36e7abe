"""Reading files of people: encodings, delimiters, headers, and what is wrong with them."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles.errors import ImportRefused
from profiles.formulas import disarmed, restored
from profiles.imports.columns import KNOWN, Headings, own_headings, read_header
from profiles.imports.files import MAX_CELL, MAX_LINE, Sheet
from profiles.models import CustomField

EVERY_TIME = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def sheet(folder: Path, content: bytes | str) -> Sheet:
    path = folder / "people.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Sheet.open(path)


def cells(folder: Path, content: bytes | str) -> list[list[str]]:
    return [record.cells for record in sheet(folder, content).records()]


def refusal(folder: Path, content: bytes | str) -> ImportRefused:
    with pytest.raises(ImportRefused) as refused:
        sheet(folder, content).survey()
    assert str(refused.value)
    return refused.value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_each_usual_encoding_is_found(tmp_path, encoding):
    assert cells(tmp_path, "email,prénom\nzoe@example.org,Zoé\n".encode(encoding)) == [["zoe@example.org", "Zoé"]]


def test_a_damaged_utf_8_file_is_still_utf_8_and_the_damaged_line_is_told(tmp_path):
    content = "email,first_name\na@example.org,Zoé\nb@example.org,Léa\n".encode() + b"c@example.org,\xff\n"
    records = list(sheet(tmp_path, content).records())
    assert [record.cells[1] for record in records[:2]] == ["Zoé", "Léa"]
    assert (records[2].line, records[2].flaw) == (4, "unreadable")


def test_a_character_cut_by_the_end_of_a_chunk_is_read_whole(tmp_path):
    names = "é" * 700_000
    content = "email,first_name\n" + "".join(f"a@example.org,{names[:400]}\n" for _ in range(3_000))
    assert sheet(tmp_path, content).encoding == "utf-8"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_guessed_from_the_header(tmp_path, delimiter):
    content = delimiter.join(["email", "first_name"]) + "\n" + delimiter.join(["z@example.org", '"a,b;c\td"'])
    assert cells(tmp_path, content) == [["z@example.org", "a,b;c\td"]]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_each_line_ending_is_known(tmp_path, ending):
    assert cells(tmp_path, ending.join(["email", "a@example.org", "b@example.org", ""])) == [
        ["a@example.org"],
        ["b@example.org"],
    ]


def test_french_headers_are_known_whatever_their_case_accents_and_blanks():
    header = [
        "Identifiant", " PRÉNOM", "Nom de famille", "E-mail", "Portable", "Adresse postale", "langue", "Pays",
        "Date de naissance", "fuseau horaire", "Ne plus contacter par courriel", "attributs.pointure",
    ]  # fmt: skip
    assert read_header(header) == (
        "external_id", "first_name", "last_name", "email", "mobile_phone", "postal_address", "language", "country",
        "birth_date", "time_zone", "blacklisted_email", "attributes.pointure",
    )  # fmt: skip


@given(st.permutations(KNOWN))
def test_documented_columns_may_come_in_any_order(names):
    assert read_header(names) == tuple(names)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        (",,\na,b,c", "empty"),
        ("zoe@example.org,Zoé,Martin", "no_known_column"),
        ("email,frist_name", "unknown_column"),
        ("email,,first_name", "unnamed_column"),
        ("email,Courriel", "duplicate_column"),
        ("email,attributes.", "bad_attribute"),
        ("email,attributes.a b", "bad_attribute"),
        ("first_name,mobile_phone", "no_identity"),
        ("email," + ",".join(f"attributes.a{n}" for n in range(200)), "too_many_columns"),
        ('email,"first_name\nzoe@example.org,Zoé', "open_quote"),
        ("email,first_name\n", "no_lines"),
        (b"PK\x03\x04\x14\x00", "not_text"),
        (b"\x1f\x8b\x08\x00", "not_text"),
        (b"\xd0\xcf\x11\xe0\xa1", "not_text"),
        (b"\x00\x01\x02\xff\xfe", "no_known_column"),
        ("email" + "x" * MAX_LINE, "long_line"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_and_told_why(tmp_path, header, code):
    assert refusal(tmp_path, header).code == code


def test_a_file_that_is_gone_is_refused(tmp_path):
    with pytest.raises(ImportRefused) as refused:
        Sheet.open(tmp_path / "gone.csv")
    assert refused.value.code == "missing"


def test_a_file_that_is_too_big_is_refused_before_it_is_read(tmp_path, settings):
    settings.IMPORT_MAX_BYTES = 10
    assert refusal(tmp_path, "email\nzoe@example.org\n").code == "too_big"


def test_a_refusal_names_the_column(tmp_path):
    assert "Column 2, “frist_name”" in str(refusal(tmp_path, "email,frist_name\n"))


def test_a_quotation_mark_that_swallows_lines_refuses_the_file_with_the_line_where_it_opens(tmp_path):
    content = 'email,first_name\na@example.org,Zoé\nb@example.org,"Léa\nc@example.org,Max\n'
    error = refusal(tmp_path, content)
    assert (error.code, error.details["line"]) == ("open_quote", 3)


def test_a_quotation_mark_that_closes_far_away_refuses_the_file_with_the_line_where_it_opens(tmp_path):
    content = 'email,first_name\na@example.org,"Zoé\n' + "b@example.org,Max\n" * 50 + 'c@example.org,"Léa"\n'
    error = refusal(tmp_path, content)
    assert (error.code, error.details["line"]) == ("open_quote", 2)


def test_a_quotation_mark_that_swallows_a_huge_file_is_found_without_reading_it_all_into_memory(tmp_path):
    content = 'email,first_name\na@example.org,"Zoé\n' + "b@example.org,Max\n" * 200_000
    assert refusal(tmp_path, content).details["line"] == 2


@pytest.mark.parametrize(
    ("line", "flaw"),
    [
        ("a@example.org,Zo\x00é", "nul"),
        ('a@example.org,"Zoé"x', "quotes"),
        ('a@example.org,"Zoé', "quotes"),
        ("a@example.org,Zoé,more", "too_many_cells"),
        ("a@example.org", "too_few_cells"),
        ("a@example.org," + "x" * (MAX_CELL + 1), "long_cell"),
        ("a@example.org," + "x" * 200_000, "quotes"),
    ],
)
def test_a_flaw_of_one_line_is_told_with_its_number_and_the_others_are_read(tmp_path, line, flaw):
    rest = "" if line.endswith('"Zoé') else "\nlast@example.org,Max\n"
    records = list(sheet(tmp_path, f"email,first_name\nfirst@example.org,Léa\n{line}{rest}").records())
    assert (records[1].line, records[1].flaw) == (3, flaw)
    assert [record.flaw for record in records if record.line != 3] == [""] * (len(records) - 1)


def test_line_numbers_are_those_of_the_file_after_cells_of_several_lines_and_blank_lines(tmp_path):
    content = 'email,postal_address\n\na@example.org,"1 rue A\n69001 Lyon"\n\n,\nb@example.org,x\n'
    assert [record.line for record in sheet(tmp_path, content).records()] == [3, 7]


def test_empty_cells_after_the_last_column_do_not_matter(tmp_path):
    assert cells(tmp_path, "email,first_name,,\na@example.org,Zoé,,\n") == [["a@example.org", "Zoé"]]


@EVERY_TIME
@given(st.binary(max_size=300))
def test_no_file_makes_the_reader_fail_otherwise_than_by_a_refusal(tmp_path, tail):
    for head in (b"", b"email,first_name\n", b'email;first_name\na@example.org;"'):
        try:
            sheet(tmp_path, head + tail).survey()
        except ImportRefused as refused:
            assert str(refused)


@given(st.text(max_size=20) | st.text("'=+-@\t\ra", max_size=6))
def test_a_cell_disarmed_for_spreadsheets_is_restored_when_it_comes_back(text):
    assert restored(disarmed(text)) == text
    assert not disarmed(text).startswith(("=", "+", "-", "@", "\t", "\r"))


# -- own fields -----------------------------------------------------------------------------------------------


def own(**labels: dict[str, str]) -> Headings:
    return own_headings([CustomField(name=name.replace("__", "-"), label=label) for name, label in labels.items()])


@pytest.mark.parametrize(
    "heading", ["points", " Points ", "Bonus points", "bonus-POINTS", "Points de fidélité", "Баллы"]
)
def test_a_column_may_have_the_name_of_an_own_field_or_its_label_in_any_language(heading):
    fields = own(points={"en": "Bonus points", "fr": "Points de fidélité", "ru": "Баллы"})
    assert read_header(["email", heading], own=fields) == ("email", "attributes.points")


def test_a_known_column_stays_what_it_is_whatever_own_fields_are_called():
    fields = own(phone={"en": "Mobile"}, town={"en": "E-mail", "fr": "Pays"})
    assert read_header(["E-mail", "mobile", "pays"], own=fields) == ("email", "mobile_phone", "country")


def test_what_two_own_fields_are_called_is_neither_of_them_and_a_name_comes_before_a_label():
    fields = own(a={"en": "Size"}, b={"fr": "size"}, hat={"en": "shoe"}, shoe={"en": "hat"}, met_on={}, met__on={})
    with pytest.raises(ImportRefused):
        read_header(["email", "size"], own=fields)
    assert read_header(["email", "hat", "shoe", "met-on", "met_on"], own=fields)[1:] == (
        "attributes.hat", "attributes.shoe", "attributes.met-on", "attributes.met_on",
    )  # fmt: skip


def test_a_column_under_two_names_is_there_twice():
    with pytest.raises(ImportRefused) as refused:
        read_header(["email", "attributes.points", "Bonus"], own=own(points={"en": "Bonus"}))
    assert refused.value.code == "duplicate_column"
