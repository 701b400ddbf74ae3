"""Commands whose modules are imported only when they run, so that ``vpoc --help`` is fast."""

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

from cli.screen import Console

__all__ = ["LazyGroup", "add_lazily"]


class LazyGroup(TyperGroup):
    """A group that imports a command of :func:`add_lazily` when it is called; its help needs the names alone."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that the arguments name, and import it."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and command is not None:
            with Console(stderr=True).status("Starting"):
                command = _imported(command.context_settings["obj"], name)
        return name, command, rest


def add_lazily(app: typer.Typer, name: str, module: str, help_: str) -> None:
    """Add a command to an app of class :class:`LazyGroup`.

    Parameters
    ----------
    app
        The app.
    name
        The command's name.
    module
        Module that holds, under that name, the command's function or a :class:`typer.Typer` of more commands.
    help_
        First sentence of its help, for the list of commands.
    """
    app.command(name, help=help_, context_settings={"obj": module})(_not_imported)


def _not_imported() -> None: ...


def _imported(module: str, name: str) -> Any:
    found = getattr(importlib.import_module(module), name)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(name)(found)
        found = alone
    command = typer.main.get_command(found)
    command.name = name
    return command
