"""The command `python -m trainkit`. It reads from `main` down: words, settings, plan, job, exit code."""

__all__ = []
