"""Benchmarks that anyone can run: `python -m tests.benchmarks.call`."""
