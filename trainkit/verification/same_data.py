"""Whether two trainings have the same rows: without them, nothing that they differ in says anything."""

from __future__ import annotations

from trainkit.core.datasets import SPLITS, Splits
from trainkit.core.errors import UserError
from trainkit.trainer.same_rows import content

__all__ = ["ADVICE", "OtherRows", "check_same_data"]

ADVICE = (
    "let data() draw the same each time, by a fixed seed: numpy.random.default_rng(0), not "
    "numpy.random.default_rng()."
)


class OtherRows(UserError):
    """The task's rows are not the same twice."""


def check_same_data(one: Splits, other: Splits) -> None:
    """Refuse rows that came otherwise the second time.

    Args:
        one: The rows of a training.
        other: Those of the one that is to be compared with it. Rows that are read batch by batch are not
            compared.

    Raises:
        OtherRows: naming the split that differs.
    """
    before, after = one.in_memory(), other.in_memory()
    for name in SPLITS:
        parts = [b"".join(content(rows[name])) for rows in (before, after) if name in rows]
        if len(parts) == 2 and parts[0] != parts[1]:
            split = "training" if name == "train" else name
            raise OtherRows(
                f"data() gave other {split} rows the second time, so that two trainings cannot be compared; "
                f"{ADVICE}"
            )
