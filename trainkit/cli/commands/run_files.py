"""The directory of a command that trains for a comparison, and not for a model."""

from __future__ import annotations

from trainkit.core import files
from trainkit.core.datasets import Source
from trainkit.experiment.job import Job
from trainkit.runs import manifest, run_dir
from trainkit.runs.run_dir import RunDir

__all__ = ["comparison_dir"]


def comparison_dir(job: Job, name: str, source: Source, devices: str) -> RunDir:
    """The directory of this comparison, with its config and manifest.

    Args:
        job: What is compared.
        name: Its folder in the folder of runs.
        source: The data set that was really used.
        devices: The devices that compute, for people.
    """
    if job.path is None:
        raise ValueError("A comparison needs a path for its files.")
    place = run_dir.create(job.path, job.config.runs_dir, name)
    for file, text in job.files.items():
        files.write_text(place.path / file, text)
    about = manifest.describe(job.argv, job.config.trainer.seed, source, devices)
    files.write_json(place.manifest, about)
    return place
