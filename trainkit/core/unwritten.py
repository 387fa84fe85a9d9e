"""Files that a training can do without: one that cannot be written is left out, and the rest is made."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from trainkit.core.errors import UserError

__all__ = ["Unwritten"]


@dataclass
class Unwritten:
    """Notes what a disk did not take.

    Attributes:
        errors: Of each file that was left out.
    """

    errors: list[UserError] = field(default_factory=list)

    @contextmanager
    def left_out(self, hint: str = "The rest is made.") -> Iterator[None]:
        """Go on after a block whose file cannot be written, with a warning.

        Args:
            hint: Ends the warning.
        """
        try:
            yield
        except UserError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            warnings.warn(f"{error} {hint}", stacklevel=3)
            self.errors.append(error)

    def error(self) -> UserError:
        """What to say at the end of a training."""
        first = str(self.errors[0]).partition(" Check the disk")[0].rstrip(".")
        more = f", and {len(self.errors) - 1} more" if len(self.errors) > 1 else ""
        return UserError(f"The training is done, but not all could be written: {first}{more}.")
