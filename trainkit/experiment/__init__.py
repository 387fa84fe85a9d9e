"""A training in a run directory: the job that the command hands over, and everything around its `fit`."""

from __future__ import annotations

from trainkit.experiment.job import Job

__all__ = ["Job"]
