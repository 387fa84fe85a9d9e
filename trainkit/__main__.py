"""`python -m trainkit`, and the command `trainkit`."""

import signal
import sys

from trainkit.cli import interrupts

signal.signal(signal.SIGINT, interrupts.end)

from trainkit.cli import main as command  # noqa: E402
from trainkit.cli import outputs  # noqa: E402


def main() -> int:
    """Run the command with the words of the process; returns its exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    outputs.outlive_readers()
    return command.main()


if __name__ == "__main__":
    sys.exit(main())
