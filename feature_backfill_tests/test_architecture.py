"""Who may import whom, and who may know what is private in Dagster. This file is the rule; the code is held to it.

A room is a package or a module directly under feature_backfill.
"""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest
from dagster._annotations import is_public

import feature_backfill

FLOORS = (
    ("__main__",),
    ("cli",),
    ("commands",),
    ("dagster",),  # what a project of a user's own builds on
    ("definitions",),
    ("automation", "checks", "reports"),
    ("assets",),
    ("planning", "sources", "alerts"),
    ("__init__",),  # the library's names: compute_features, feature_names, read_features
    ("store",),
    ("config", "labels"),
    ("engine",),
    (
        "event_log",
        "event_log_postgres",
        "run_launcher_ray",
    ),  # the public address of what dagster.yaml names
    ("dagster_internals",),
    ("hours", "paths", "contracts"),
    ("errors",),
)
"""From the roof down. A room may import itself and every room of a lower floor."""

DEPTH = {room: depth for depth, floor in enumerate(FLOORS) for room in floor}

KNOWN_ONLY_TO = {
    "dagster_internals": {
        *("assets", "automation", "commands", "dagster"),
        *("event_log", "event_log_postgres", "run_launcher_ray"),
    },
    "event_log": set(),
    "event_log_postgres": set(),
    "run_launcher_ray": set(),
    "__init__": set(),
}
"""Rooms that not everybody above may import."""

FORBIDDEN_PACKAGES = {
    "engine": {"dagster", "dagster_duckdb", "duckdb", "sqlalchemy", "datetime", "time"},
    "planning": {"dagster", "dagster_duckdb", "duckdb", "sqlalchemy"},
    "alerts": {"dagster", "dagster_duckdb", "duckdb", "sqlalchemy", "datetime", "time"},
}
"""The engine can be lifted out as a library and knows no clock; planning decides without Dagster and without SQL."""

PRIVATE_ATTRIBUTES = {"cached_status"}
UNDERSCORED_BUT_PUBLIC = {"_replace", "_exit"}
"""Of a named tuple, and of os."""

SOURCE = Path(feature_backfill.__file__).parent


class Module(NamedTuple):
    """A module of the package. path: below feature_backfill, with slashes."""

    path: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.path.partition("/")[0].removesuffix(".py")

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and full name of everything that is imported, for `from a import b` as `a.b`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno} imports relatively, which these rules do not follow"
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)

    def attributes(self) -> Iterator[tuple[int, str, str]]:
        """Line, owner and name of every attribute that is used: `instance` and `get` of `context.instance.get`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute):
                owner = ast.unparse(node.value).rpartition(".")[2]
                yield node.lineno, owner, node.attr


def room_of(imported: str) -> str | None:
    """The room that a full name belongs to; None outside the package."""
    package, _, rest = imported.partition(".")
    if package != feature_backfill.__name__:
        return None
    room = rest.partition(".")[0]
    return room if room in DEPTH else "__init__"


def not_public(*classes: type) -> set[str]:
    """The names of attributes that Dagster marks as public in none of the classes."""
    names = {name for cls in classes for name in dir(cls) if not name.startswith("_")}
    return {name for name in names if not any(is_public(inspect.getattr_static(cls, name, None)) for cls in classes)}


NOT_PUBLIC = {
    "instance": not_public(dg.DagsterInstance),
    "context": not_public(dg.AssetExecutionContext, dg.OpExecutionContext),
}
"""By the name that an object goes by in the project: its attributes that are not Dagster's public API."""


def imports_against_the_direction(module: Module) -> Iterator[str]:
    for line, imported in module.imports():
        room = room_of(imported)
        if room is None or room == module.room:
            continue
        if DEPTH[room] <= DEPTH[module.room] or module.room not in KNOWN_ONLY_TO.get(room, {module.room}):
            yield f"{module.path}:{line} imports {imported}"


def forbidden_packages(module: Module) -> Iterator[str]:
    for line, imported in module.imports():
        if imported.partition(".")[0] in FORBIDDEN_PACKAGES.get(module.room, ()):
            yield f"{module.path}:{line} imports {imported}"


def private_in_dagster(module: Module) -> Iterator[str]:
    if module.room == "dagster_internals":
        return
    for line, imported in module.imports():
        if imported.startswith("dagster") and any(part.startswith("_") for part in imported.split(".")):
            yield f"{module.path}:{line} imports {imported}"
    for line, owner, name in module.attributes():
        underscored = name.startswith("_") and not name.startswith("__") and owner not in ("self", "cls")
        if (
            (underscored and name not in UNDERSCORED_BUT_PUBLIC)
            or name in PRIVATE_ATTRIBUTES
            or name in NOT_PUBLIC.get(owner, ())
        ):
            yield f"{module.path}:{line} uses {owner}.{name}"


RULES = [imports_against_the_direction, forbidden_packages, private_in_dagster]


@pytest.fixture(scope="module")
def modules():
    paths = sorted(SOURCE.rglob("*.py"))
    assert len(paths) > 50
    return [Module(path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text())) for path in paths]


def test_every_room_has_a_floor(modules):
    assert {module.room for module in modules} - DEPTH.keys() == set()


@pytest.mark.parametrize("rule", RULES)
def test_every_module_keeps_the_rules(modules, rule):
    assert [broken for module in modules for broken in rule(module)] == []


@pytest.mark.parametrize(
    ("rule", "path", "code"),
    [
        (imports_against_the_direction, "engine/bars.py", "from feature_backfill.config import Market"),
        (imports_against_the_direction, "commands/market.py", "from feature_backfill.cli import parser"),
        (imports_against_the_direction, "automation/jobs.py", "import feature_backfill.checks.market"),
        (imports_against_the_direction, "checks/parity.py", "from feature_backfill.dagster_internals import pools"),
        (imports_against_the_direction, "cli.py", "from feature_backfill import compute_features"),
        (imports_against_the_direction, "hours.py", "def f():\n    from feature_backfill.engine import bars"),
        (forbidden_packages, "planning/plan.py", "import duckdb"),
        (forbidden_packages, "engine/compute.py", "from time import time"),
        (private_in_dagster, "assets/bars.py", "from dagster._core.events import DagsterEvent"),
        (private_in_dagster, "assets/bars.py", "from dagster import _core"),
        (private_in_dagster, "assets/bars.py", "context.op_execution_context"),
        (private_in_dagster, "assets/bars.py", "step._events.extend([])"),
        (private_in_dagster, "automation/runs.py", "context.instance.event_log_storage"),
        (private_in_dagster, "automation/repairs.py", "record.asset_entry.cached_status"),
    ],
)
def test_the_rules_find_what_breaks_them(rule, path, code):
    assert len(list(rule(Module(path, ast.parse(code))))) == 1


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("commands/backfill.py", "from feature_backfill.definitions import build_definitions"),
        ("assets/bars.py", "from feature_backfill.dagster_internals.reports import report_hours"),
        ("checks/parity.py", "from feature_backfill.checks import oracle"),
        ("automation/runs.py", "context.instance.get_run_records(limit=1)"),
        ("config.py", "self._value = field._replace(name='x')"),
    ],
)
def test_the_rules_allow_the_rest(path, code):
    assert [broken for rule in RULES for broken in rule(Module(path, ast.parse(code)))] == []
