"""The commands about a delivery: they ring the same tasks as the screens, and print what these found."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from deliveries import analysis, tasks
from deliveries.models import Delivery, State
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory
from tests.sink import running_sink

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _a_worker_that_answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("analyse_delivery", "send_delivery"):
        task = getattr(tasks, name)
        monkeypatch.setattr(task, "delay", task.run)


def ready() -> Delivery:
    service = ServiceFactory.create()
    ProfileFactory.create(services=[service])
    ProfileFactory.create(services=[service], blacklisted=True)
    return DeliveryFactory.create(service=service, label="Spring")


def test_analyse_and_send_print_their_reports(capsys: Any) -> None:
    delivery = ready()
    call_command("analyse", "Spring", "--wait", "--json")
    report = json.loads(capsys.readouterr().out)
    assert (report["targeted"], report["to_send"], report["left_out"]["blacklisted"]) == (2, 1, 1)
    assert report["targeted"] == report["to_send"] + sum(report["left_out"].values())
    with running_sink() as sink:
        call_command("send", str(delivery.pk), "--wait", "--json")
    report = json.loads(capsys.readouterr().out)
    assert (report["state"], report["sent"], report["excluded"]) == ("finished", 1, 1)
    assert len(sink.caught) == 1


def test_the_table_has_its_zero_lines(capsys: Any) -> None:
    call_command("analyse", str(ready().pk), "--wait")
    out = capsys.readouterr().out
    assert "Same address as another person" in out
    assert "To send" in out


def test_what_cannot_be_done_is_said() -> None:
    delivery = ready()
    with pytest.raises(CommandError, match="0 deliveries"):
        call_command("analyse", "Nothing")
    with pytest.raises(CommandError, match="Look at it again"):
        call_command("send", str(delivery.pk))
    call_command("analyse", str(delivery.pk))
    delivery.contents.update(text="no way out")
    with pytest.raises(CommandError, match="opt-out link"):
        call_command("send", str(delivery.pk))
    Delivery.objects.update(state=State.FINISHED)
    with pytest.raises(CommandError, match="Finished"):
        call_command("analyse", str(delivery.pk))


def test_a_dry_run_counts_and_leaves_the_delivery_as_it_is(capsys: Any) -> None:
    service = ServiceFactory.create()
    ProfileFactory.create(services=[service])
    ProfileFactory.create(services=[service], email="")
    delivery = DeliveryFactory.create(service=service)
    call_command("analyse", str(delivery.pk), "--dry-run", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["targeted"], found["to_send"], found["left_out"]["address_missing"]) == (2, 1, 1)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.current_run, delivery.version) == ("draft", None, 1)


def test_a_dry_run_is_refused_beside_another_analysis() -> None:
    delivery = DeliveryFactory.create()
    analysis.start(delivery, at=timezone.now())
    with pytest.raises(CommandError, match="is being analysed"):
        call_command("analyse", str(delivery.pk), "--dry-run")
