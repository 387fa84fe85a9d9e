"""A run, or several, as one HTML file that opens without a network. Imports no TensorFlow."""

from __future__ import annotations

from trainkit.reporting.report import REPORT_SECONDS, write_report

__all__ = ["REPORT_SECONDS", "write_report"]
