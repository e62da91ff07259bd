"""The engine can be lifted out as a library: it imports neither Dagster nor DuckDB, not even through other modules."""

import pkgutil
import subprocess
import sys

from feature_backfill import engine

FOREIGN = ("dagster", "duckdb")
MODULES = [module.name for module in pkgutil.iter_modules(engine.__path__, "feature_backfill.engine.")]
SCRIPT = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    import_module(name)
    foreign = [module for module in {foreign} if module in sys.modules]
    assert not foreign, f"{{name}} imports {{foreign}}"
print("clean")
"""


def imports(modules: list[str], foreign: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Import modules one after the other in a new interpreter; it fails at the first that brings in a foreign one."""
    command = [sys.executable, "-c", SCRIPT.format(foreign=foreign), *modules]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_engine_imports_neither_dagster_nor_duckdb():
    assert len(MODULES) > 15
    run = imports(MODULES, FOREIGN)
    assert run.stdout == "clean\n", run.stderr


def test_a_module_that_does_is_named():
    run = imports(["feature_backfill.engine.sums", "feature_backfill.store.database"], FOREIGN)
    assert "feature_backfill.store.database imports ['duckdb']" in run.stderr
