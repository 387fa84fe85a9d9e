"""One place for each dangerous thing: private names, foreign objects, renames, prints. And short files."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import known
from tests.support.repository import ROOT
from tests.support.sources import (
    Module,
    attribute_names,
    below,
    defined_names,
    imported_module,
    modules_of,
    package_modules,
    repository_modules,
)

SOURCES = package_modules()
USED = (*SOURCES, *modules_of(ROOT / "tasks"))
COMPAT, PATCHES, FILES = "backend/compat", "backend/patches", "core/files"
HYDRA = "cli/hydra_app"  # keeps Hydra from running what a config names
PRINTERS = ("cli", "callbacks/progress")
MAX_LINES, MAX_COLUMNS = 300, 110
KERAS_INNER = ("keras.src", "tensorflow.python", "tf.python", "tf.__internal__", "tensorflow.compiler")


@pytest.mark.parametrize("place", [FILES, PATCHES, HYDRA, *PRINTERS])
def test_a_place_named_here_exists(place: str) -> None:
    assert any(below(module, place) for module in SOURCES), f"{place} names no module"


def is_private(name: str) -> bool:
    dunder = name.startswith("__") and name.endswith("__")
    return name.startswith("_") and not dunder and name not in ("_fields", "_asdict", "_replace")


def test_private_names_stay_in_their_folder() -> None:
    """Of trainkit's own names; what Keras and TensorFlow keep private is the next test."""
    others = {m.folder: defined_names(m.folder) for m in SOURCES}
    wrong = {}
    for module in USED:
        mine = others.get(module.folder, frozenset())
        for found in module.imports:
            other = imported_module(found)
            same = other is not None and other.folder == module.folder
            if other is not None and not same and any(map(is_private, found.name.split("."))):
                wrong[f"{module.place} {found.name}"] = f"line {found.line}"
        for _, name, line in attribute_names(module):
            owners = [folder for folder, names in others.items() if name in names]
            if is_private(name) and name not in mine and owners:
                wrong[f"{module.place} {name}"] = f"line {line}: defined in {', '.join(owners)}"
    known.check("private", wrong)


def inner_names(module: Module) -> Iterator[tuple[str, int]]:
    """The inner modules and the private attributes of Keras and TensorFlow that a file uses."""
    for found in module.imports:
        inside = found.name + "."
        if inside.startswith(tuple(f"{inner}." for inner in KERAS_INNER)):
            yield found.name, found.line
    ours = frozenset().union(*(defined_names(m.folder) for m in SOURCES))
    for owner, name, line in attribute_names(module):
        whole = f"{ast.unparse(owner)}.{name}"
        if whole in KERAS_INNER:
            yield whole, line
        if is_private(name) and name not in ours and module.library(owner) not in sys.stdlib_module_names:
            yield name, line


def test_the_inside_of_keras_is_known_to_compat_alone() -> None:
    wrong = {
        f"{module.place} {name}": f"line {line}"
        for module in USED
        if not below(module, COMPAT)
        for name, line in inner_names(module)
    }
    known.check("inside", wrong)


def foreign_changes(module: Module) -> Iterator[tuple[str, int]]:
    """Where a file changes an object that is not its own, by `setattr` or in another library's module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "setattr",
            "delattr",
            "object.__setattr__",
        ):
            if ast.unparse(node.args[0]) not in ("self", "cls"):
                yield f"{ast.unparse(node.func)}({ast.unparse(node.args[0])})", node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            library = module.library(node.value)
            if library and library not in sys.stdlib_module_names:
                yield ast.unparse(node), node.lineno


def test_foreign_objects_are_changed_by_patches_alone() -> None:
    wrong = {
        f"{module.place} {change}": f"line {line}"
        for module in USED
        if not below(module, PATCHES) and not below(module, HYDRA)
        for change, line in foreign_changes(module)
    }
    known.check("changes", wrong)


def renames(module: Module) -> Iterator[tuple[str, int]]:
    """Calls that rename files or flush them: `os.replace`, `Path.rename`, `shutil.move`."""
    whole = ("os.replace", "os.rename", "os.renames", "os.fsync", "shutil.move")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in whole:
            yield ast.unparse(node), node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of_path = len(node.args) == 1 and not node.keywords and node.func.attr in ("rename", "replace")
            if of_path and ast.unparse(node.func) not in whole:
                yield ast.unparse(node.func), node.lineno


def test_durations_are_measured_by_a_clock_that_cannot_go_back() -> None:
    """`time.time()` tells when something happened, to somebody else's program; `time.monotonic()` how long it
    lasted."""
    told = ("callbacks/tensorboard", "callbacks/trackers")
    wrong = [
        f"{module.place} line {node.lineno}"
        for module in USED
        if not any(below(module, place) for place in told)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "time.time"
    ]
    assert wrong == []


def test_files_are_renamed_in_one_place() -> None:
    wrong = {
        f"{module.place} {name}": f"line {line}"
        for module in USED
        if not below(module, FILES)
        for name, line in renames(module)
    }
    known.check("renames", wrong)


def test_only_the_command_and_the_progress_print() -> None:
    """Others take a `write` function, or return text."""
    wrong = {
        module.place: f"line {node.lineno}"
        for module in USED
        if not below(module, *PRINTERS)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Name) and node.id == "print"
    }
    known.check("prints", wrong)


def test_a_file_fits_in_a_head() -> None:
    lines = {module.place: len(module.text.splitlines()) for module in repository_modules()}
    wrong = {
        place: f"{n} lines: look for a second responsibility" for place, n in lines.items() if n > MAX_LINES
    }
    known.check("long-file", wrong)


MADE = {"_build", "settings.md"}  # by `make docs`


def text_files() -> Iterator[tuple[str, list[str]]]:
    """The project's own texts, with their lines; tables of Markdown are left out."""
    kinds = ("*.py", "*.yaml", "*.toml", "*.md", "Makefile", "*.cfg", "*.sh", "run", "*.txt")
    folders = ("trainkit", "tasks", "conf", "benchmarks", "tests", "docs", ".ci")
    paths = {p for kind in kinds for folder in folders for p in (ROOT / folder).rglob(kind)}
    paths |= {p for kind in kinds for p in ROOT.glob(kind)}
    for path in sorted(p for p in paths if p.is_file() and not MADE & set(p.parts)):
        lines = path.read_text(encoding="utf-8").splitlines()
        table = path.suffix == ".md"
        yield (
            path.relative_to(ROOT).as_posix(),
            [x for x in lines if not (table and x.lstrip().startswith("|"))],
        )


def test_lines_are_of_110_columns() -> None:
    wrong = {}
    for place, lines in text_files():
        long = [number for number, line in enumerate(lines, 1) if len(line) > MAX_COLUMNS]
        if long:
            wrong[place] = f"{len(long)} lines, the first is {long[0]}"
    known.check("long-line", wrong)


RULES = {"inside": inner_names, "changes": foreign_changes, "renames": renames}


@pytest.mark.parametrize(
    ("rule", "source", "expected"),
    [
        ("inside", "from keras.src.backend import random", ["keras.src.backend.random"]),
        ("inside", "import tensorflow.python.client.device_lib", ["tensorflow.python.client.device_lib"]),
        ("inside", "import keras\nkeras.src.backend.random", ["keras.src"]),
        ("inside", "def f(model): return model._loss_trackers", ["_loss_trackers"]),
        ("inside", "def f(model): return getattr(model, '_loss_trackers')", ["_loss_trackers"]),
        ("inside", "import os\nos._exit(1)", []),
        ("inside", "def f(model): return model.__class__", []),
        ("changes", "def f(layer): setattr(layer, 'rate', 0.0)", ["setattr(layer)"]),
        ("changes", "from keras import backend\nbackend.dropout = None", ["backend.dropout"]),
        ("changes", "class A:\n def f(self): setattr(self, 'rate', 0.0)", []),
        ("renames", "import os\nos.replace('a', 'b')", ["os.replace"]),
        ("renames", "def f(path): path.replace('b')", ["path.replace"]),
        ("renames", "def f(text): text.replace('a', 'b')", []),
    ],
)
def test_the_rules_find_what_they_look_for(
    rule: str, source: str, expected: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "planted.py"
    path.write_text(source)
    assert [name for name, _ in RULES[rule](Module(path))] == expected
