"""What users may rely on: the public names, listed beside this file, and what is told about each."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import trainkit
from tests.support import known
from tests.support.repository import PACKAGE, ROOT
from tests.support.sources import Module, modules_of, package_modules

LISTED = Path(__file__).with_name("public_names.txt")
NAMESPACES = [
    "trainkit",
    *(f"trainkit.{n}" for n in trainkit.__all__ if (PACKAGE / n).is_dir() or n == "tasks"),
]
PACKAGES = [m for m in (*package_modules(), *modules_of(ROOT / "tasks")) if m.path.name == "__init__.py"]


def declared(module: Module) -> list[str] | None:
    """The literal `__all__` of a source file."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def test_public_names_are_those_listed() -> None:
    """So a change of what users may rely on shows as a change of one file."""
    names = [f"{space}.{name}" for space in NAMESPACES for name in importlib.import_module(space).__all__]
    assert sorted(names) == LISTED.read_text().split()


ALL_MODULES = [m for m in (*package_modules(), *modules_of(ROOT / "tasks")) if m.name != "trainkit.__main__"]


def test_every_module_lists_its_names() -> None:
    known.check("no-all", {m.place: "has no __all__" for m in ALL_MODULES if declared(m) is None})


@pytest.mark.parametrize("module", [m for m in ALL_MODULES if declared(m) is not None], ids=lambda m: m.name)
def test_every_listed_name_exists(module: Module) -> None:
    names = declared(module) or []
    name = module.name if module.name.startswith("trainkit") else f"trainkit.{module.name}"
    loaded = importlib.import_module(name)
    assert [n for n in names if not hasattr(loaded, n)] == []
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("module", PACKAGES, ids=lambda m: m.name)
def test_a_package_tells_the_type_checker_what_it_exports(module: Module) -> None:
    """The names of `if TYPE_CHECKING:`, of the lazy table and of `__all__` are the same."""
    typed, lazy = set(), set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            typed |= {a.name for n in node.body if isinstance(n, ast.ImportFrom) for a in n.names}
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy.public_names":
            lazy |= {name for names in ast.literal_eval(node.args[1]).values() for name in names}
            folders = [k.value for k in node.keywords if k.arg == "folders"]
            lazy |= {name for value in folders for name in ast.literal_eval(value)}
    if typed or lazy:
        assert typed == lazy == set(declared(module) or ()) - {"__version__"}


@pytest.mark.parametrize("module", PACKAGES, ids=lambda m: m.name)
def test_a_public_name_does_not_hide_a_module(module: Module) -> None:
    """Importing `package.name` would put the module in the place of the function."""
    beside = {path.stem for path in module.path.parent.glob("*.py")}
    assert beside & set(declared(module) or ()) == set()


def public_objects() -> list[tuple[str, object]]:
    found = []
    for space in NAMESPACES:
        package = importlib.import_module(space)
        found += [(f"{space}.{n}", getattr(package, n)) for n in package.__all__ if n != "__version__"]
    return [(name, value) for name, value in found if not isinstance(value, ModuleType)]


def test_every_public_class_and_function_says_what_it_is() -> None:
    """With a docstring of its own, also each public method that it does not take over from a parent."""
    silent = {}
    for name, value in public_objects():
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not (value.__doc__ or "").strip() or "__init__" in (value.__doc__ or "")[:20]:
            silent[name] = "no docstring"
        for method, function in vars(value).items() if inspect.isclass(value) else ():
            new = not any(hasattr(parent, method) for parent in value.__mro__[1:])
            if new and method[0] != "_" and inspect.isfunction(function) and not function.__doc__:
                silent[f"{name}.{method}"] = "no docstring"
    known.check("docstring", silent)


def test_importing_trainkit_imports_no_other_library() -> None:
    program = "import sys, trainkit; print(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"tensorflow", "keras", "numpy", "hydra"} & set(ast.literal_eval(done.stdout))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'trainkit' has no attribute 'Trainr'"):
        _ = trainkit.Trainr


def test_type_checkers_read_our_types() -> None:
    assert (PACKAGE / "py.typed").is_file()
