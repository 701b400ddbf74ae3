"""The ``vpoc`` command."""

from cli.command import app, main

__all__ = ["app", "main"]
