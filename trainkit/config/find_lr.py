"""Settings of the learning-rate finder, `debug=find_lr`."""

from __future__ import annotations

from dataclasses import dataclass

from trainkit.config.fields import setting
from trainkit.core.errors import UserError

__all__ = ["FindLrConfig"]


@dataclass
class FindLrConfig:
    """debug=find_lr: some steps with a growing learning rate, a curve of their losses, and a suggestion."""

    enabled: bool = setting(False, "look for a learning rate in place of the training")
    low: float = setting(1e-6, "first rate", above=0)
    high: float = setting(10.0, "last rate", above=0)
    steps: int = setting(200, "steps from the first rate to the last", at_least=20)

    def check(self, prefix: str) -> None:
        """Refuse rates that do not grow.

        Args:
            prefix: Dotted key of this section with a final dot, for the message.
        """
        if self.high <= self.low:
            raise UserError(f"{prefix}high={self.high}: expected more than {prefix}low={self.low}.")
