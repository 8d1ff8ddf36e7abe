"""What the code itself must keep to, read from its syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiles.blacklist import FLAGS

ROOT = Path(__file__).resolve().parents[1]
APPS = ("campaign", "landing", "deliveries", "quarantine", "profiles")
MODULES = sorted(
    path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.relative_to(ROOT).parts
)
WAYS_OUT = {"smtplib", "django.core.mail", "requests", "httpx", "urllib.request", "http.client", "aiosmtplib"}
# The only writers of flags, subscriptions and events.
CONSENT = {"profiles/consent.py"}
LEDGER = {"ConsentEvent", "Subscription"}
WRITES = {"create", "bulk_create", "update", "bulk_update", "delete", "get_or_create", "update_or_create", "save"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            yield prefix
            yield from (f"{prefix}.{alias.name}".replace("..", ".") for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_transports_know_a_way_out(path: Path) -> None:
    found = {module for module in imported(ast.parse(path.read_text())) if module in WAYS_OUT}
    # The demonstration asks its own web server whether it is up.
    assert not found or name_of(path).startswith(("deliveries/transports/", "campaign/demo/"))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_gate_hands_a_message_to_a_transport(path: Path) -> None:
    """`transport.send(...)` stands in the gate alone; the callers get there with a permit."""
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "send"
    }
    carriers = {call for call in calls if "transport" in call.lower() or "carrier" in call.lower()}
    assert not carriers or name_of(path) == "deliveries/gate.py"


def test_a_permit_is_made_only_where_a_claim_is() -> None:
    makers = {
        name_of(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Permit"
    }
    assert makers == {"deliveries/sending.py", "deliveries/proofs.py", "deliveries/confirmations.py"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_consent_writes_flags_subscriptions_and_events(path: Path) -> None:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
            text = ast.unparse(node.func)
            found |= {model for model in LEDGER if text.startswith(f"{model}.objects")}
            found |= {kw.arg for kw in node.keywords if kw.arg in FLAGS.values()}
        if isinstance(node, ast.Assign):
            targets = [t for t in node.targets if isinstance(t, ast.Attribute)]
            found |= {t.attr for t in targets if t.attr in FLAGS.values()}
    assert not found or name_of(path) in CONSENT


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_subject_fits_its_file(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "tasks.py"], ids=name_of)
def test_tasks_take_ids_only(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and any("shared_task" in ast.unparse(d) for d in node.decorator_list):
            assert all(arg.annotation and ast.unparse(arg.annotation) == "int" for arg in node.args.args)
