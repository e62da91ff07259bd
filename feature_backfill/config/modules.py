"""Modules with features of a user's own, as a YAML or a flag names them."""

import ast
import hashlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType

from feature_backfill.engine.catalog import BUILT_IN, Catalog
from feature_backfill.engine.feature import DeclarationError
from feature_backfill.errors import UserError


@dataclass(frozen=True)
class FeatureModule:
    """An imported module of features.

    version: what the module says of itself as VERSION; source: a digest of its code and of what it imports from its own
    package or folder, which comments, docstrings and layout do not change.
    """

    name: str
    version: str
    source: str
    module: ModuleType


_meant: dict[str, Path] = {}
"""The file of each module that lies in the folder of a YAML which names it."""


def search_modules_in(folder: Path, names: Iterable[str] = ()) -> None:
    """Let modules be imported from a folder too. What is installed goes before.

    names: of modules that must be those of the folder, as far as it has them.

    Raises UserError if another folder has already given a module of one of these names.
    """
    place = folder.resolve()
    if str(place) not in sys.path:
        sys.path.append(str(place))
    for name in names:
        stem = place.joinpath(*name.split("."))
        for file in (stem.with_suffix(".py"), stem / "__init__.py"):
            if file.exists() and _meant.setdefault(name, file) != file:
                raise UserError(f"two folders have a feature module {name}: {_meant[name]} and {file}; rename one")


@cache
def feature_module(name: str) -> FeatureModule:
    """The module of features of a name, imported.

    Raises UserError if it cannot be imported, declares no VERSION, or has no source to look at.
    """
    try:
        module = import_module(name)
    except DeclarationError as error:
        raise UserError(f"feature module {name}: {error}") from error
    except Exception as error:  # whatever a user's module raises
        raise UserError(
            f"feature module {name} cannot be imported: {type(error).__name__}: {error}; it must be installed, or lie "
            "in the folder of the YAML (of --feature-modules: the working folder)"
        ) from error
    file = _file(module)
    if file.suffix != ".py":
        raise UserError(f"feature module {name} has no Python source to look at, only {file}")
    if name in _meant and file.resolve() != _meant[name]:
        raise UserError(f"feature module {name} comes from {file}, which hides {_meant[name]}; rename one of them")
    version = getattr(module, "VERSION", None)
    if not isinstance(version, str | int) or isinstance(version, bool) or not str(version).strip():
        raise UserError(
            f"feature module {name} ({file}) says no version; write VERSION = 1, and raise it whenever the "
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


def _file(module: ModuleType) -> Path:
    """The file of a module; of one without, an empty path."""
    return Path(getattr(module, "__file__", None) or "")


def _digest(module: ModuleType) -> str:
    """A digest of the code of a module, and of what it imports from its own package or, without one, from beside it."""
    package, dot, _ = module.__name__.partition(".")
    in_package = bool(dot) or hasattr(module, "__path__")
    folder = _file(module).parent

    def is_own(other: ModuleType) -> bool:
        if _file(other).suffix != ".py":
            return False
        if in_package:
            return other.__name__.partition(".")[0] == package
        return folder.name != "site-packages" and _file(other).parent == folder

    seen: dict[str, str] = {}
    _collect(module, is_own, seen)
    return hashlib.sha256("".join(seen[name] for name in sorted(seen)).encode()).hexdigest()[:16]


def _collect(module: ModuleType, is_own: Callable[[ModuleType], bool], seen: dict[str, str]) -> None:
    """Note the code of a module, and of its own among those that it imports, by name."""
    tree = ast.parse(_file(module).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    seen[module.__name__] = ast.dump(tree)
    imported = (sys.modules.get(name) for node in ast.walk(tree) for name in _imported(node, module))
    for other in imported:
        if other is not None and other.__name__ not in seen and is_own(other):
            _collect(other, is_own, seen)


def _imported(node: ast.AST, module: ModuleType) -> list[str]:
    """The names of the modules that a statement may import."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        base = resolve_name("." * node.level + base, module.__package__)
    return [base, *(f"{base}.{alias.name}" for alias in node.names)]
