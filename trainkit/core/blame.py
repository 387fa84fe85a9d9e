"""Whose code raised an error: ours, a library's, or the user's own."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

__all__ = ["own_line"]

OURS = Path(__file__).parents[1]
# Where the tasks lie that come with trainkit: in its package once it is installed, else beside it.
OUR_TASKS = OURS.parent / "tasks"
LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
MADE = "__autograph_generated_file"  # by TensorFlow of the user's code; it goes with the process


def own_line(error: BaseException) -> str | None:
    """`file:line` of the innermost line of the user's own code through which an error came; None: of none."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((f"{f.filename}:{f.lineno}" for f in reversed(frames) if _is_own(f.filename)), None)


def _is_own(filename: str) -> bool:
    path = Path(filename)
    if not path.is_file() or path.name.startswith(MADE):  # <frozen importlib._bootstrap>, say
        return False
    return not any(path.is_relative_to(folder) for folder in (OURS, OUR_TASKS, *LIBRARIES))
