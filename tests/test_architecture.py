"""What the code itself must keep to, read from its syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiles import consent
from profiles.blacklist import FLAGS

ROOT = Path(__file__).resolve().parents[1]
APPS = ("campaign", "landing", "deliveries", "quarantine", "profiles")
MODULES = sorted(
    path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.relative_to(ROOT).parts
)
WAYS_OUT = {"smtplib", "django.core.mail", "requests", "httpx", "urllib.request", "http.client", "aiosmtplib"}
# Who alone writes what: flags too, in the first of them.
OWNERS = {
    "ConsentEvent": "profiles/consent.py",
    "Subscription": "profiles/consent.py",
    "ErasedOptOut": "profiles/consent.py",
    "Wording": "profiles/consent.py",
    "ConsentSeal": "profiles/seals.py",
    "UnsealedEvent": "profiles/seals.py",
    "AuditEvent": "profiles/audit.py",
    **dict.fromkeys(FLAGS.values(), "profiles/consent.py"),
}
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
    assert makers == {"deliveries/sending/worker.py", "deliveries/proofs.py", "deliveries/confirmations.py"}


def written(tree: ast.AST) -> set[str]:
    """Return the models and flags that some code writes."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
            text = ast.unparse(node.func)
            found |= {model for model in OWNERS if text.startswith(f"{model}.objects")}
            found |= {"ConsentEvent"} if text == "sql.bulk_create" else set()
            found |= {kw.arg for kw in node.keywords if kw.arg in OWNERS}
        if isinstance(node, ast.Assign):
            targets = [t for t in node.targets if isinstance(t, ast.Attribute)]
            found |= {t.attr for t in targets if t.attr in OWNERS}
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_flags_subscriptions_events_and_seals_have_one_writer_each(path: Path) -> None:
    assert {OWNERS[one] for one in written(ast.parse(path.read_text()))} <= {name_of(path)}


def test_every_function_that_writes_consent_is_in_its_registry() -> None:
    tree = ast.parse((ROOT / "profiles/consent.py").read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    calls = {
        name: {ast.unparse(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)} & set(functions)
        for name, node in functions.items()
    }
    writing = {
        name
        for name, node in functions.items()
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in WRITES
    }
    while more := {name for name in functions if calls[name] & writing} - writing:
        writing |= more
    public = {name for name in writing if not name.startswith("_")}
    assert public - {"cite"} == set(consent.WRITERS)  # `cite` stores a text, and changes nothing about anybody


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_subject_fits_its_file(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "tasks.py"], ids=name_of)
def test_tasks_take_ids_only(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and any("shared_task" in ast.unparse(d) for d in node.decorator_list):
            assert all(arg.annotation and ast.unparse(arg.annotation) == "int" for arg in node.args.args)
