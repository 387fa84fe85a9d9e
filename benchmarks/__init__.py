"""Measurements: `python -m benchmarks.throughput` against other ways to train, `python -m benchmarks.scaling` against itself."""
