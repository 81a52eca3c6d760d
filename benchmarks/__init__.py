"""Benchmarks: each runs by itself with ``python -m benchmarks.NAME``."""
