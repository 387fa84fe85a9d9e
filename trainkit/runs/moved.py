"""What is left of a run directory that was moved or removed while its run trained."""

from __future__ import annotations

from collections.abc import Callable

from trainkit.core.held import FolderMoved
from trainkit.core.words import shown
from trainkit.runs.run_dir import CHECKPOINT, RunDir, has_saved

__all__ = ["what_is_left"]


def what_is_left(moved: FolderMoved, resume: Callable[..., str]) -> str:
    """What the folder keeps, and how to go on from there: what follows the text of the error.

    Args:
        moved: The error.
        resume: Gives the command that continues the run in the folder `resume`.
    """
    if moved.new is None:
        return "Nothing is left there to go on from; if a copy has a checkpoint, resume=<copy> does."
    if not has_saved(moved.new):
        return "No checkpoint was saved: there is nothing to go on from, so start anew."
    count = len(list(RunDir(moved.new).checkpoints.glob(f"[!.]*/{CHECKPOINT}")))
    kept = f"{count} checkpoint{'s' if count > 1 else ''} of before" if count else "what was saved before"
    return f"It holds {kept}. Resume: {resume(resume=shown(moved.new))}"
