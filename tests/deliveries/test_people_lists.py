"""Lists of people: who is meant by lines, what is told about the others, and who may do that."""

import logging
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deliveries import people_lists
from deliveries.admin import people_list as pages
from deliveries.models import PeopleList, Target
from profiles.models import AuditEvent
from tests.factories import DeliveryFactory, ProfileFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def guests() -> PeopleList:
    return PeopleList.objects.create(name="Guests")


def on(people_list: PeopleList) -> list[int]:
    return list(people_list.members.order_by("profile").values_list("profile", flat=True))


def of_role(name: str) -> Client:
    user, client = UserFactory.create(username=f"a-{name}"), Client()
    user.groups.add(Group.objects.get(name=name))
    client.force_login(user)
    return client


@pytest.fixture
def client() -> Client:
    return of_role("marketer")


def page(people_list: PeopleList) -> str:
    return reverse("admin:deliveries_peoplelist_people", args=[people_list.pk])


# -- lines ------------------------------------------------------------------------------------------------------------


def test_lines_name_people_by_address_number_or_identifier(guests: PeopleList) -> None:
    by_mail = ProfileFactory.create(email="Zoé@Example.org")
    by_number = ProfileFactory.create(sms="+33639980001", email="")
    by_id = ProfileFactory.create(external_id="X-77", email="")
    twins = [ProfileFactory.create(email="both@example.org") for _n in range(2)]
    added = people_lists.add(
        guests, ["zoé@EXAMPLE.org", "06 39 98 00 01", "X-77", "both@example.org", "who@example.org", "x-77", "<b>"]
    )
    assert on(guests) == [by_mail.pk, by_number.pk, by_id.pk, *(twin.pk for twin in twins)]
    assert (added.lines, added.people, added.shared, added.unknown_lines) == (7, 5, 1, 3)
    assert added.unknown == ["who@example.org", "x-77", "<b>"]
    guests.refresh_from_db()
    assert (guests.size, guests.unknown) == (5, 3)


def test_a_number_can_be_an_identifier_too(guests: PeopleList) -> None:
    person = ProfileFactory.create(external_id="0639980001", email="")
    other = ProfileFactory.create(sms="+33639980001", email="")
    added = people_lists.add(guests, ["0639980001"])
    assert on(guests) == [person.pk, other.pk]
    assert added.shared == 1


def test_people_are_added_once_or_replaced(guests: PeopleList) -> None:
    first, second = ProfileFactory.create(email="a@example.org"), ProfileFactory.create(email="b@example.org")
    people_lists.add(guests, ["a@example.org", "A@example.org"])
    people_lists.add(guests, ["a@example.org", "b@example.org"])
    assert on(guests) == [first.pk, second.pk]
    people_lists.add(guests, ["b@example.org"], replace=True)
    assert on(guests) == [second.pk]
    guests.refresh_from_db()
    assert guests.size == 1


def test_only_the_first_unknown_lines_are_told(guests: PeopleList) -> None:
    added = people_lists.add(guests, (f"nobody{n}@example.org" for n in range(70)))
    assert (added.unknown_lines, len(added.unknown)) == (70, 50)


def test_lines_are_looked_up_by_the_batch(guests: PeopleList, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [ProfileFactory.create() for _n in range(9)]
    lines = [f"zoe.{person.pk}@example.org" for person in made]
    monkeypatch.setattr(people_lists, "BATCH", 3)
    people_lists.add(guests, lines)
    monkeypatch.setattr(people_lists, "BATCH", 100)
    with CaptureQueriesContext(connection) as captured:
        people_lists.add(guests, lines)
    assert on(guests) == [person.pk for person in made]
    assert len([query for query in captured if "SELECT" in query["sql"]]) <= 5


def test_people_are_taken_off(guests: PeopleList) -> None:
    made = [ProfileFactory.create() for _n in range(3)]
    people_lists.add(guests, [f"zoe.{person.pk}@example.org" for person in made])
    assert people_lists.remove(guests, [made[0].pk, made[1].pk, 987654]) == 2
    guests.refresh_from_db()
    assert (on(guests), guests.size) == ([made[2].pk], 1)


TEXTS = [
    ("a@x.org\r\n\n  b@x.org \n", ["a@x.org", "b@x.org"]),
    ("name;Email\nZoé;a@x.org\n\"Doe; John\";b@x.org\n", ["a@x.org", "b@x.org"]),
    ("a@x.org,Zoé\nb@x.org,\n", ["a@x.org", "b@x.org"]),
    ("id\tname\n77\tZoé\n", ["77"]),
    ("phone\n06 39 98 00 01\n", ["06 39 98 00 01"]),
    ("name,mobile\nZoé,0639980001\nshort\n", ["0639980001"]),
    ("", []), ("\n \n", []), ("email\n", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_a_text_is_read_by_its_column(text: str, expected: list[str]) -> None:
    assert people_lists.lines_of(text) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_file_is_read_whatever_wrote_it(encoding: str) -> None:
    assert people_lists.decoded("zoé@exämple.org\n".encode(encoding)) == "zoé@exämple.org\n"


# -- the pages --------------------------------------------------------------------------------------------------------


def test_a_new_list_goes_on_with_its_people(client: Client) -> None:
    response = client.post(reverse("admin:deliveries_peoplelist_add"), {"name": "Guests", "description": ""})
    made = PeopleList.objects.get()
    assert (response.status_code, response.url) == (302, page(made))
    assert made.created_by is not None


def test_pasted_lines_are_answered_with_numbers_and_the_unknown_ones_this_once(
    client: Client, guests: PeopleList, caplog: pytest.LogCaptureFixture
) -> None:
    person = ProfileFactory.create(email="ada@example.org", first_name="Ada", last_name="Lovelace")
    with caplog.at_level(logging.DEBUG):
        html = client.post(
            page(guests), {"pasted": "ada@example.org\nnobody@example.org", "how": "add"}
        ).content.decode()
    assert "2 lines:" in html
    assert "1 person found" in html
    assert "1 line names nobody" in html
    assert "<li>nobody@example.org</li>" in html
    assert on(guests) == [person.pk]
    assert not [r for r in caplog.records if not r.name.startswith("django.db") and "@example.org" in r.getMessage()]
    event = AuditEvent.objects.get()
    assert (event.rows, event.after) == (1, {"size": 1})
    again = client.get(page(guests)).content.decode()
    assert "nobody@example.org" not in again
    assert "Ada Lovelace" in again


def test_a_file_is_looked_up(client: Client, guests: PeopleList) -> None:
    person = ProfileFactory.create(email="ada@example.org")
    file = SimpleUploadedFile("guests.csv", b"name;email\nAda;ada@example.org\n")
    client.post(page(guests), {"file": file, "how": "replace"})
    assert on(guests) == [person.pk]


def refusals() -> list[tuple[dict[str, Any], str]]:
    text = SimpleUploadedFile("a.csv", b"a@example.org")
    return [
        ({"pasted": "", "how": "add"}, "There is no line in it."),
        ({"pasted": "a@example.org", "file": text, "how": "add"}, "not both"),
        ({"file": SimpleUploadedFile("a.xlsx", b"PK\x03\x04..."), "how": "add"}, "spreadsheet"),
        ({"file": SimpleUploadedFile("a.csv", b"a@example.org\n" * 500_000), "how": "add"}, "larger than 5 MB"),
        ({"pasted": "a@example.org\n" * 10_001, "how": "add"}, "more than 10,000 lines"),
        ({"file": SimpleUploadedFile("a.csv", b"a\n" * 100_001), "how": "add"}, "more than 100,000 lines"),
        ({"pasted": 'email;name\na@example.org;"Ada\nb@example.org;Zoé', "how": "add"}, "quotation mark"),
        ({"pasted": "a@example.org;" + "x" * 140_000, "how": "add"}, "Line 1 is too long"),
        ({"pasted": "a@example.org", "how": "burn"}, "Select a valid choice"),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(len(refusals())))
def test_what_cannot_be_read_is_refused_with_a_reason(client: Client, guests: PeopleList, number: int) -> None:
    data, told = refusals()[number]
    ProfileFactory.create(email="a@example.org")
    assert told in client.post(page(guests), data).content.decode()
    assert on(guests) == []


def test_members_are_paged_by_key(client: Client, guests: PeopleList, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PER_PAGE", 2)
    made = [ProfileFactory.create() for _n in range(5)]
    people_lists.add(guests, [f"zoe.{person.pk}@example.org" for person in made])
    url, seen = page(guests), []
    while url:
        context = client.get(url).context
        seen += [member.profile_id for member in context["members"]]
        url = f"{page(guests)}?after={context['next']}" if context["next"] else ""
    assert seen == [person.pk for person in reversed(made)]
    assert client.get(f"{page(guests)}?after=x").status_code == 200


def test_ticked_people_are_taken_off(client: Client, guests: PeopleList) -> None:
    person = ProfileFactory.create(email="a@example.org")
    people_lists.add(guests, ["a@example.org"])
    remove = reverse("admin:deliveries_peoplelist_remove", args=[guests.pk])
    assert client.get(remove).status_code == 405
    client.post(remove, {"profile": ["x"]})
    assert on(guests) == [person.pk]
    client.post(remove, {"profile": [person.pk]})
    assert on(guests) == []


def test_renaming_a_list_leaves_its_size_to_whoever_changes_its_people(client: Client, guests: PeopleList) -> None:
    change = reverse("admin:deliveries_peoplelist_change", args=[guests.pk])
    client.get(change)
    ProfileFactory.create(email="a@example.org")
    people_lists.add(guests, ["a@example.org"])
    client.post(change, {"name": "Friends", "description": ""})
    guests.refresh_from_db()
    assert (guests.name, guests.size) == ("Friends", 1)


def test_a_viewer_reads_and_changes_nothing(guests: PeopleList) -> None:
    viewer, person = of_role("viewer"), ProfileFactory.create(email="a@example.org")
    people_lists.add(guests, ["a@example.org"])
    assert str(person) in viewer.get(page(guests)).content.decode()
    assert viewer.post(page(guests), {"pasted": "a@example.org", "how": "add"}).status_code == 403
    remove = reverse("admin:deliveries_peoplelist_remove", args=[guests.pk])
    assert viewer.post(remove, {"profile": [person.pk]}).status_code == 403
    nobody = Client()
    nobody.force_login(UserFactory.create())
    assert nobody.get(page(guests)).status_code == 403


def test_a_used_list_is_archived(client: Client, guests: PeopleList) -> None:
    DeliveryFactory.create(target=Target.LIST, people_list=guests, label="Spring at last")
    change = reverse("admin:deliveries_peoplelist_change", args=[guests.pk])
    assert "Spring at last" in client.get(change).content.decode()
    client.post(reverse("admin:deliveries_peoplelist_archive", args=[guests.pk]))
    assert not PeopleList.objects.open().exists()
