"""Benchmarks of jevons itself, reproducible on any Linux machine with two cores and a C compiler."""
