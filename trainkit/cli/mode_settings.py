"""Settings of one mode that the command line gives to another, which would not look at them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from trainkit.cli.hydra_app import key_of
from trainkit.core.errors import UserError

__all__ = ["check_mode_reads"]

# Sections that one mode alone reads. mode=compare takes any setting: it is one that runs must have.
MODE_OF = {
    "compare": "compare",
    "evaluate": "evaluate",
    "export": "export",
    "find_lr": "fit",
    "parity": "parity",
    "predict": "predict",
    "tune": "tune",
    "verify": "verify_resume",
}
# What a comparison with model.fit sets itself, so that both loops can be compared.
SET_BY_PARITY = ("epochs", "engine", "fast_kernels", "on_nonfinite", "dynamic_rows")


def check_mode_reads(mode: str, overrides: Sequence[str]) -> None:
    """Refuse settings of another mode, and those that the mode sets itself.

    Args:
        mode: What the command does.
        overrides: The words of the command line that set something.

    Raises:
        UserError: for the first of them.
    """
    words = {key_of(word): word for word in overrides}
    if mode == "compare":
        if "resume" in words:
            raise UserError(
                f"mode=compare does not read resume: leave {words['resume']} out, and name runs as words, as "
                "in mode=compare runs/mnist/a runs/mnist/b."
            )
        return
    for key, its_mode in _of_other_modes(mode, words):
        raise UserError(
            f"mode={mode} does not read {key}, a setting of mode={its_mode}: leave {words[key]} out, or set "
            f"mode={its_mode}."
        )
    for key in (f"trainer.{name}" for name in SET_BY_PARITY) if mode == "parity" else ():
        if key in words:
            instead = ", and set parity.epochs" if key == "trainer.epochs" else ""
            raise UserError(
                f"mode=parity sets {key} itself, for both trainings alike: leave {words[key]} out{instead}."
            )


def _of_other_modes(mode: str, keys: Collection[str]) -> Iterator[tuple[str, str]]:
    """The keys that are of other modes, with those. A single fold is part of what any mode trains or opens;
    mode=tune has its own words for several."""
    several = ("fit.seeds",) if "fit.fold" in keys else ("fit.seeds", "fit.cv")
    for key in keys:
        its_mode = MODE_OF.get(re.split(r"[./]", key)[0], mode)
        if its_mode != mode:
            yield key, its_mode
        elif key in several and mode not in ("fit", "tune"):
            yield key, "fit"
