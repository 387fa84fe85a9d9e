"""Finds `conf/` and `tasks/`: beside the package in a checkout, inside it in a wheel.

In a checkout the one name `trainkit.tasks` becomes importable, and nothing else of the repository's root:
no `trainkit.tests`, no second copy of a module. A user's own `tasks` folder neither hides ours nor is hidden
by it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

__all__ = ["TasksFinder", "find_tasks_beside_the_package", "root"]

PACKAGE = Path(__file__).parents[1]
NAME = "trainkit.tasks"


class TasksFinder:
    """A meta path finder for `trainkit.tasks` alone; what lies inside is then found by the package's own
    path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != NAME:
            return None
        places = [str(self.folder)]
        return spec_from_file_location(NAME, self.folder / "__init__.py", submodule_search_locations=places)


def root() -> Path:
    """The folder that holds `conf/` and `tasks/`: the package in a wheel, the repository in a checkout."""
    return PACKAGE if (PACKAGE / "conf").is_dir() else PACKAGE.parent


def find_tasks_beside_the_package() -> None:
    """Make `trainkit.tasks` importable in a checkout; does nothing in a wheel."""
    folder = root() / "tasks"
    if folder.parent != PACKAGE and (folder / "__init__.py").is_file():
        sys.meta_path.append(TasksFinder(folder))
