"""The ``vpoc`` command."""

from pipeline.cli.command import app, main

__all__ = ["app", "main"]
