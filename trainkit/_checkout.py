"""Finds `trainkit.tasks` in a checkout, where `tasks/` stands beside the package; a wheel holds it inside.

One name, `trainkit.tasks`, is importable this way and nothing else of the repository's root: neither `trainkit.tests`, nor a
second copy of a module, nor a user's own `tasks` folder, which can neither hide ours nor be hidden by it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).parent
NAME = "trainkit.tasks"


class TasksFinder:
    """A meta path finder for `trainkit.tasks` alone; what lies inside is then found by the package's own path."""

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
