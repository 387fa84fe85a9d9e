"""A run, or several, as one HTML file that opens without a network. Imports no TensorFlow."""

from __future__ import annotations

from trainkit.reporting.report import write_report

__all__ = ["write_report"]
