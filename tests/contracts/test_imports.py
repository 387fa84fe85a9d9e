"""Who may import whom. Reads the sources; imports none of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import known
from tests.support.repository import PACKAGE, ROOT
from tests.support.sources import (
    Import,
    Module,
    below,
    imported_module,
    modules_of,
    package_modules,
    packages_around,
    repository_modules,
)

# A folder imports only from the floors before its own; folders of one floor do not know each other.
FLOORS: list[tuple[str, ...]] = [
    ("core",),
    ("config", "backend", "checkpoint", "runs", "metrics"),
    ("data", "optim", "engine", "distributed", "callbacks", "export", "reporting"),
    ("trainer",),
    ("estimators", "experiment", "tuning", "verification"),
    ("cli",),
]
FLOOR = {folder: number for number, folders in enumerate(FLOORS) for folder in folders}
TOP = {
    "trainkit",
    "trainkit.__main__",
}  # the public face, which no module of the package looks at, and its command
TASK_FLOORS = FLOORS[:3]

# Where each other library may be imported; `anywhere` for those that everything trains with.
ANYWHERE = "anywhere"
HOMES: dict[str, tuple[str, ...] | str] = {
    "numpy": ANYWHERE,
    "keras": ANYWHERE,
    "tensorflow": ANYWHERE,
    "hydra": ("cli",),
    "omegaconf": ("cli",),
    "yaml": ("cli",),
    "joblib": ("cli/launchers",),
    "submitit": ("cli/launchers",),
    "matplotlib": ("runs/figures",),
    "rich": ("callbacks/progress",),
    "tensorboard": ("callbacks/tensorboard",),
    "pyarrow": ("data/sources",),
    "onnx": ("export",),
    "tf2onnx": ("export",),
    "onnxruntime": ("export",),
    "ai_edge_litert": ("export",),
    "mlflow": ("callbacks/trackers/mlflow_backend",),
    "wandb": ("callbacks/trackers/wandb_backend",),
    "aim": ("callbacks/trackers/aim_backend",),
    "IPython": ("callbacks/notebook",),
    "scipy": ("experiment/baselines",),
    "ml_dtypes": ("checkpoint/members",),
    "sklearn": ("experiment/baselines", "data/splits", "data/sources/embedded", "estimators"),
    "optuna": ("tuning",),
}

# What a command needs before it is clear that something will be trained: seconds without TensorFlow.
SLOW = ("tensorflow", "keras")
FREE_OF_TENSORFLOW = ("core", "config", "runs", "reporting", "cli", "data/sources", "data/splits")

SOURCES = package_modules()
TASKS = modules_of(ROOT / "tasks")


def is_free(module: Module) -> bool:
    return module.name in TOP or below(module, *FREE_OF_TENSORFLOW)


def test_the_table_holds_every_folder_and_names_nothing_else() -> None:
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and any(p.rglob("*.py"))}
    with_code = {m.folder for m in SOURCES if m.path.name != "__init__.py"} - {""}
    assert set(FLOOR) <= with_code, f"rows that name no code: {sorted(set(FLOOR) - with_code)}"
    assert folders - {"tasks"} <= set(FLOOR), f"folders without a floor: {sorted(folders - set(FLOOR))}"
    at_the_top = {m.name for m in SOURCES if not m.folder}
    assert at_the_top <= TOP | {f"trainkit.{folder}" for folder in FLOOR}, "modules belong into folders"


@pytest.mark.parametrize(
    "place", [*FREE_OF_TENSORFLOW, *(h for hs in HOMES.values() if hs != ANYWHERE for h in hs)]
)
def test_a_place_in_the_tables_exists(place: str) -> None:
    assert any(below(module, place) for module in SOURCES), f"{place} names no module"


def test_a_folder_imports_from_lower_floors_only() -> None:
    """Also inside functions, and for the type checker."""
    wrong = {}
    for module in SOURCES:
        for found in module.imports if module.folder else ():
            other = imported_module(found)
            if other is None or other.folder == module.folder or found.name == "trainkit.__version__":
                continue
            if FLOOR.get(other.folder, len(FLOORS)) >= FLOOR[module.folder]:
                wrong[f"{module.place} {found.name}"] = f"line {found.line}"
    known.check("floors", wrong)


@pytest.mark.slow
def test_no_import_is_relative() -> None:
    """A relative import hides where a name comes from."""
    assert [f"{m.place}:{i.line}" for m in repository_modules() for i in m.imports if i.name[0] == "."] == []


@pytest.mark.parametrize("folder", sorted(FLOOR))
def test_no_circle_inside_a_folder(folder: str) -> None:
    """Also not by an import inside a function, or for the type checker."""
    edges: dict[str, set[str]] = {}
    for module in SOURCES:
        if module.folder == folder or module.name == f"trainkit.{folder}":
            others = {imported_module(found) for found in module.imports}
            edges[module.name] = {o.name for o in others if o is not None and o is not module}
    wrong = {" -> ".join(circle): "a circle" for circle in circles(edges)}
    known.check(f"circles-{folder}", wrong)


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """One circle for each module that can reach itself, each told once, beginning at its first name."""
    found: dict[frozenset[str], list[str]] = {}
    for start in sorted(edges):
        ways = [[start]]
        seen: set[str] = set()
        while ways:
            way = ways.pop(0)
            for following in sorted(edges.get(way[-1], ())):
                if following == start:
                    found.setdefault(frozenset(way), [*way, start])
                elif following in edges and following not in seen:
                    seen.add(following)
                    ways.append([*way, following])
    return list(found.values())


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c", "a"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_trainkit_never_imports_tasks_benchmarks_or_tests() -> None:
    outside = ("tasks", "trainkit.tasks", "benchmarks", "tests")
    found = [
        f"{module.place}:{i.line}: {i.name}"
        for module in SOURCES
        for i in module.imports
        if not (module.name == "trainkit" and i.typing)
        and (i.name + ".").startswith(tuple(f"{o}." for o in outside))
    ]
    assert found == []


def test_tasks_import_what_a_user_may() -> None:
    allowed = {folder for floor in TASK_FLOORS for folder in floor}
    wrong = {}
    for module in TASKS:
        for found in module.imports:
            other = imported_module(found)
            if other is not None and other.name != "trainkit" and other.folder not in allowed:
                wrong[f"{module.place} {found.name}"] = f"line {found.line}"
    assert wrong == {}


def libraries(module: Module) -> dict[str, Import]:
    ours = {"trainkit", "tasks", *sys.stdlib_module_names}
    return {i.name.split(".")[0]: i for i in module.imports if i.name.split(".")[0] not in ours}


def test_each_library_has_its_home() -> None:
    wrong, used = {}, set()
    for module in (*SOURCES, *TASKS):
        for library, found in libraries(module).items():
            used.add(library)
            home = HOMES.get(library)
            assert home is not None, (
                f"{module.place}:{found.line}: {library} has no home; give it one in HOMES"
            )
            if home != ANYWHERE and not below(module, *home):
                wrong[f"{module.place} {library}"] = f"line {found.line}: its home is {', '.join(home)}"
    assert set(HOMES) == used, f"homes of libraries that nothing imports: {sorted(set(HOMES) - used)}"
    known.check("homes", wrong)


def test_what_starts_a_command_is_free_of_tensorflow() -> None:
    wrong = {m.name: way for m in SOURCES if is_free(m) for way in [way_to_tensorflow(m)] if way}
    known.check("tensorflow", wrong)


def way_to_tensorflow(start: Module) -> str:
    """By which imports of ours a module comes to import TensorFlow or Keras; empty: it does not."""
    todo, seen = [(start, start.name)], {start}
    while todo:
        module, way = todo.pop(0)
        reached = set(packages_around(module))
        for found in module.imports:
            if found.lazy or found.typing:
                continue
            if found.name.split(".")[0] in SLOW:
                return f"{way} imports {found.name} in line {found.line}"
            other = imported_module(found)
            reached |= {other} if other is not None else set()
        todo += [(other, f"{way} -> {other.name}") for other in reached - seen]
        seen |= reached
    return ""


def test_a_fresh_process_imports_what_starts_a_command_without_tensorflow() -> None:
    """What the sources say of it, by running it."""
    names = {m.name for m in SOURCES if is_free(m)} - {"trainkit.__main__"} - known.listed("tensorflow")
    program = (
        "import sys, importlib\n"
        f"for name in {sorted(names)}: importlib.import_module(name)\n"
        f"print([name for name in {SLOW} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
