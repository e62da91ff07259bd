"""Modules with features of a user's own, as a YAML or a flag names them."""

import ast
import hashlib
import inspect
import sys
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from feature_backfill.engine.catalog import BUILT_IN, Catalog
from feature_backfill.engine.feature import DeclarationError
from feature_backfill.errors import UserError


@dataclass(frozen=True)
class FeatureModule:
    """An imported module of features.

    version: what the module says of itself as VERSION; source: a digest of its code, which comments, docstrings and
    layout do not change.
    """

    name: str
    version: str
    source: str
    module: ModuleType


def search_modules_in(folder: Path) -> None:
    """Let modules be imported from a folder too. What is installed goes before."""
    place = str(folder.resolve())
    if place not in sys.path:
        sys.path.append(place)


@cache
def feature_module(name: str) -> FeatureModule:
    """The module of features of a name, imported.

    Raises UserError if it cannot be imported, declares no VERSION, or has no source to look at.
    """
    try:
        module = import_module(name)
    except Exception as error:  # whatever a user's module raises
        raise UserError(
            f"feature module {name} cannot be imported: {type(error).__name__}: {error}; it must be installed, or lie "
            "in the folder of the YAML (of --feature-modules: the working folder)"
        ) from error
    version = getattr(module, "VERSION", None)
    if not isinstance(version, str | int) or isinstance(version, bool) or not str(version).strip():
        raise UserError(
            f"feature module {name} ({module.__file__}) says no version; write VERSION = 1, and raise it whenever the "
            "module gives other values"
        )
    return FeatureModule(name, str(version), _digest(module), module)


@cache
def catalog_of(names: tuple[str, ...]) -> Catalog:
    """The built-in features, followed by those of the modules of these names.

    Raises UserError if a module cannot be used.
    """
    try:
        return BUILT_IN.extended(feature_module(name).module for name in names)
    except DeclarationError as error:
        raise UserError(f"feature modules {', '.join(names)}: {error}") from error


def _digest(module: ModuleType) -> str:
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError) as error:
        raise UserError(f"feature module {module.__name__} has no Python source to look at: {error}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]
