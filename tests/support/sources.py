"""The sources of the project as trees: what a file imports, and which names it uses. Imports none of them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.repository import PACKAGE, ROOT

__all__ = [
    "Import",
    "Module",
    "attribute_names",
    "below",
    "defined_names",
    "imported_module",
    "modules_of",
    "package_modules",
    "packages_around",
    "repository_modules",
]


@dataclass(frozen=True)
class Import:
    """One name that a file imports.

    Args:
        name: Full dotted name: `trainkit.core.errors.UserError`.
        line: Where it is imported.
        lazy: Whether that happens inside a function, when it is called.
        typing: Whether it is for the type checker alone.
    """

    name: str
    line: int
    lazy: bool = False
    typing: bool = False


@dataclass(frozen=True)
class Module:
    """One source file."""

    path: Path

    @functools.cached_property
    def text(self) -> str:
        """The source."""
        return self.path.read_text(encoding="utf-8")

    @functools.cached_property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.text)

    @property
    def place(self) -> str:
        """The path inside the repository: `trainkit/core/errors.py`."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def name(self) -> str:
        """The dotted name: `trainkit.core.errors`; a package's own file has the package's name."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def folder(self) -> str:
        """The package folder that holds it: `core`; empty for a file at the top of the package."""
        parts = self.path.relative_to(ROOT).parts
        return parts[1] if len(parts) > 2 else ""

    @functools.cached_property
    def imports(self) -> tuple[Import, ...]:
        """All that it imports, anywhere in the file."""
        return tuple(_imports(self.tree, lazy=False, typing=False))

    @functools.cached_property
    def _libraries(self) -> dict[str, str]:
        """What a name stands for in another library: `{"tf": "tensorflow", "layers": "keras"}`."""
        names = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    names[alias.asname or alias.name.split(".")[0]] = alias.name.split(".")[0]
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    names[alias.asname or alias.name] = (node.module or "").split(".")[0]
        return {name: library for name, library in names.items() if library != "trainkit"}

    def library(self, expression: ast.expr) -> str:
        """The library that an expression such as `tf.nest.flatten` begins with; empty for none."""
        return self._libraries.get(ast.unparse(expression).split(".")[0], "")


def _imports(node: ast.AST, *, lazy: bool, typing: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, node.lineno, lazy, typing) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        yield from (Import(f"{module}.{alias.name}", node.lineno, lazy, typing) for alias in node.names)
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        for child in node.body:
            yield from _imports(child, lazy=lazy, typing=True)
        for child in node.orelse:
            yield from _imports(child, lazy=lazy, typing=typing)
        return
    inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, lazy=lazy or inside, typing=typing)


@functools.cache
def modules_of(folder: Path) -> tuple[Module, ...]:
    """All source files below a folder."""
    return tuple(Module(path) for path in sorted(folder.rglob("*.py")))


def package_modules() -> tuple[Module, ...]:
    """The sources of trainkit."""
    return modules_of(PACKAGE)


def repository_modules() -> tuple[Module, ...]:
    """The sources of trainkit, of its tasks, its benchmarks and its tests."""
    return tuple(m for part in ("trainkit", "tasks", "benchmarks", "tests") for m in modules_of(ROOT / part))


def below(module: Module, *places: str) -> bool:
    """Whether a module is one of `places`, or inside one: `data/sources`, `core/files`."""
    here = module.name.removeprefix("trainkit.").replace(".", "/")
    return any(here == place or here.startswith(place + "/") for place in places)


@functools.cache
def _by_name() -> dict[str, Module]:
    return {module.name: module for module in package_modules()}


def imported_module(found: Import) -> Module | None:
    """The module of trainkit that holds an imported name; None if it is not ours."""
    parts = found.name.split(".")
    for end in range(len(parts), 0, -1):
        module = _by_name().get(".".join(parts[:end]))
        if module is not None:
            return module
    return None


def packages_around(module: Module) -> list[Module]:
    """The `__init__.py` files that Python runs before a module."""
    parts = module.name.split(".")
    names = (".".join(parts[:end]) for end in range(1, len(parts)))
    return [_by_name()[name] for name in names if name in _by_name()]


def attribute_names(module: Module) -> Iterator[tuple[ast.expr, str, int]]:
    """Every `object.name`, also as `getattr(object, "name")`: the object, the name and the line."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute):
            yield node.value, node.attr, node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) >= 2:
            name = node.args[1]
            if node.func.id in ("getattr", "setattr", "hasattr", "delattr") and isinstance(
                name, ast.Constant
            ):
                yield node.args[0], str(name.value), node.lineno


@functools.cache
def defined_names(folder: str) -> frozenset[str]:
    """The names that the files of a folder define: functions, classes, variables and attributes of `self`."""
    names: set[str] = set()
    for module in package_modules():
        if module.folder != folder:
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
                names.add(node.attr)
    return frozenset(names)


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")
