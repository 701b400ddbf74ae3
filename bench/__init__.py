"""Measurements beside peers and the floor, each checked for being right before it is timed."""

from bench.profiles import bench_profiles

__all__ = ["bench_profiles"]
