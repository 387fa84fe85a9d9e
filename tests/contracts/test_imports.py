"""The import table: who may import whom. Reads the sources; imports none of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.repository import PACKAGE, ROOT

MAX_LINES = 320

# A module imports only from rows above its own. `__init__` may be imported by all.
ROWS: list[tuple[str, set[str]]] = [
    ("L0 vocabulary", {"task", "config", "state"}),
    (
        "L1 parts",
        {
            "data",
            "precision",
            "strategy",
            "optimizers",
            "rng",
            "checkpoint",
            "callbacks",
            "early_stopping",
            "plots",
            "progress",
            "tensorboard",
        }
        | {
            "rundir",
            "journal",
            "manifest",
            "predictions",
            "quiet",
            "validate",
            "cluster",
            "checks",
            "differences",
            "kernels",
        },
    ),
    ("L2 graph", {"step"}),
    ("L2 graph", {"loop"}),
    ("L3 trainer", {"build", "execution"}),
    ("L3 trainer", {"audience", "ceiling"}),
    ("L3 trainer", {"fit", "keras_fit"}),
    ("L3 trainer", {"trainer"}),
    ("L4 studies", {"parity", "equivalence", "tuning", "estimator", "report", "export"}),
    ("L5 command", {"compose", "job", "launch"}),
    ("L5 command", {"observers"}),
    ("L5 command", {"fitting", "comparing"}),
    ("L5 command", {"modes"}),
    ("L5 command", {"cli"}),
    ("L5 command", {"__main__"}),
]
RANK = {module: rank for rank, (_, modules) in enumerate(ROWS) for module in modules}
# Libraries that one file alone imports, in the package and the tasks together.
ONE_FILE = ("sklearn", "matplotlib", "rich", "optuna", "jinja2")
HYDRA = {"cli", "compose", "__main__"}
SLOW = {"tensorflow", "keras"}
# What a command needs before it is clear that something will be trained.
STARTS_FAST = (
    "__init__",
    "__main__",
    "cli",
    "compose",
    "config",
    "job",
    "modes",
    "rundir",
    "task",
    "validate",
    "launch",
    "cluster",
)


@dataclass(frozen=True)
class Import:
    """One name imported in one file; `lazy` if in a function, `typing` if for the type checker alone."""

    name: str
    line: int
    lazy: bool
    typing: bool


def module_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text())

    def visit(node: ast.AST, lazy: bool, typing: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, lazy, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, (
                f"{path.name}:{node.lineno}: relative imports hide where a name comes from"
            )
            yield from (
                Import(f"{node.module}.{alias.name}", node.lineno, lazy, typing) for alias in node.names
            )
        for child in ast.iter_child_nodes(node):
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            checked = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            yield from visit(child, lazy or inside, typing or checked)

    return visit(tree, False, False)


def ours(name: str) -> str | None:
    """The module of trainkit that an imported name belongs to: `trainkit.data.files.read` -> `data`; None if not ours."""
    top, *rest = name.split(".")
    if top != "trainkit":
        return None
    known = {module_of(path) for path in PACKAGE.rglob("*.py")} | set(RANK)
    return rest[0] if rest and rest[0] in known else "tasks" if rest[:1] == ["tasks"] else "__init__"


SOURCES = sorted(PACKAGE.rglob("*.py"))
TASKS = sorted((ROOT / "tasks").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.name != "__init__.py" or path.parent != PACKAGE], ids=name
)
def test_imports_point_to_lower_levels(path: Path) -> None:
    module = module_of(path)
    assert module in RANK, (
        f"{name(path)} has no place in the import table; give it one in {name(Path(__file__))}"
    )
    for found in imports(path):
        other = ours(found.name)
        if other in (None, "__init__", module):
            continue
        assert RANK.get(other, len(ROWS)) < RANK[module], (
            f"{name(path)}:{found.line}: {ROWS[RANK[module]][0]} imports {found.name}"
        )


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_trainkit_never_imports_tasks(path: Path) -> None:
    for found in imports(path):
        assert not (found.name + ".").startswith(("tasks.", "trainkit.tasks.", "benchmarks.", "tests.")), (
            f"{name(path)}:{found.line}: {found.name}"
        )


@pytest.mark.parametrize("path", TASKS, ids=name)
def test_tasks_use_the_vocabulary_and_the_parts(path: Path) -> None:
    for found in imports(path):
        other = ours(found.name)
        allowed = other in (None, "__init__", "tasks") or ROWS[RANK[other]][0] in (
            "L0 vocabulary",
            "L1 parts",
        )
        assert allowed, f"{name(path)}:{found.line}: a task imports {found.name}"


@pytest.mark.parametrize("library", ONE_FILE)
def test_library_lives_in_one_file(library: str) -> None:
    users = {
        name(path)
        for path in SOURCES + TASKS
        for found in imports(path)
        if found.name.split(".")[0] == library
    }
    assert len(users) <= 1, f"{library} is imported by {sorted(users)}"


def test_only_the_command_knows_hydra() -> None:
    users = {
        module_of(path)
        for path in SOURCES
        for found in imports(path)
        if found.name.split(".")[0] in ("hydra", "omegaconf")
    }
    assert users <= HYDRA, f"Hydra is imported by {sorted(users - HYDRA)}"


@pytest.mark.parametrize("start", STARTS_FAST)
def test_command_starts_without_tensorflow(start: str) -> None:
    """Follows the imports that run when a module is imported, through all modules of trainkit."""
    seen, todo = set(), [(start, (start,))]
    while todo:
        module, way = todo.pop()
        seen.add(module)
        for path in files_of(module):
            for found in imports(path):
                if found.lazy or found.typing:
                    continue
                assert found.name.split(".")[0] not in SLOW, (
                    f"{' -> '.join(way)} imports {found.name} at {name(path)}:{found.line}"
                )
                other = ours(found.name)
                if other is not None and other not in seen:
                    todo.append((other, (*way, other)))


def files_of(module: str) -> list[Path]:
    folder = PACKAGE / module
    return (
        sorted(folder.glob("*.py"))
        if folder.is_dir()
        else [path for path in [PACKAGE / f"{module}.py"] if path.exists()]
    )


@pytest.mark.parametrize("path", SOURCES + TASKS + BENCHMARKS, ids=name)
def test_a_file_fits_in_a_head(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= MAX_LINES, f"{name(path)} has {lines} lines: look for a second responsibility"
