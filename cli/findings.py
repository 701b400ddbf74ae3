"""Findings about how a file was read, in the terminal."""

from collections.abc import Iterable

from cli.screen import Console
from pipeline.market.evidence import Finding

__all__ = ["print_findings"]

_MARKS = {"error": "[bold red]Error[/]", "warning": "[bold yellow]Warning[/]", "note": "[cyan]Note[/]"}


def print_findings(findings: Iterable[Finding], console: Console) -> None:
    """Print one line per finding, the most serious first."""
    for finding in findings:
        console.print(f"{_MARKS[finding.severity]}: ", end="", highlight=False, markup=True)
        console.sentence(finding.message)
