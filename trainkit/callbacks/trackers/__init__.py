"""Trackers of experiments: MLflow, Weights & Biases, and Aim, each an optional package."""

from __future__ import annotations

from trainkit.callbacks.trackers.tracker import Backend, Tracker, check_installed, make_backend

__all__ = ["Backend", "Tracker", "check_installed", "make_backend"]
