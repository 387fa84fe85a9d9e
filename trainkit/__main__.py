"""`python -m trainkit`, and the command `trainkit`."""

import os
import signal
import sys
from types import FrameType


def _end(number: int, frame: FrameType | None) -> None:
    """End without a traceback: an import knows nothing of Ctrl-C."""
    os.write(2, b"\ntrainkit: interrupted before the training started.\n")
    os._exit(128 + number)


signal.signal(signal.SIGINT, _end)

from trainkit.cli import main as command  # noqa: E402


def main() -> int:
    """Run the command with the words of the process; returns its exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return command.main()


if __name__ == "__main__":
    sys.exit(main())
