"""Measurements of speed.

`python -m benchmarks.throughput` compares trainkit with other ways to train; `python -m benchmarks.scaling`
measures what its step costs as sizes grow.
"""
