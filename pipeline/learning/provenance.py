"""Provenance of a training: versions of its data and code, and the environment it ran in."""

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from pipeline.home import PROJECT

__all__ = ["CodeVersion", "code_files", "code_version", "data_version", "environment"]

DISTRIBUTION = "vpoc-pipeline"
PACKAGE = "pipeline"
SHIPPED_SUFFIXES = (".py", ".yaml")
DIGEST_LENGTH = 32
GIT_SECONDS = 5


@dataclass(frozen=True)
class CodeVersion:
    """Version of the code.

    Attributes
    ----------
    package
        The project's version.
    content
        Hash of the package's files, the same wherever they lie.
    commit
        Git's commit; None where the project is not a git checkout.
    changed
        Whether files differed from that commit.
    """

    package: str
    content: str
    commit: str | None
    changed: bool


def data_version(frame: pd.DataFrame, source: str) -> str:
    """Hash of a frame's every value, its columns, dtypes, index and order, and of where it came from.

    Parameters
    ----------
    frame
        What was learned from.
    source
        Identity of the bars behind it, as :attr:`pipeline.datasets.Dataset.identity`.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    columns = [[str(name), str(dtype)] for name, dtype in frame.dtypes.items()]
    digest = hashlib.sha256(json.dumps([source, len(frame), str(frame.index.dtype), columns]).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=True).to_numpy().astype("<u8").tobytes())
    return digest.hexdigest()[:DIGEST_LENGTH]


def code_files(project: Path = PROJECT) -> list[Path]:
    """Every file of the package ``pipeline`` that belongs to it, sorted: modules and their YAML."""
    found = (path for suffix in SHIPPED_SUFFIXES for path in (project / PACKAGE).rglob(f"*{suffix}"))
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def code_version(project: Path = PROJECT) -> CodeVersion:
    """The code as it stands now in the folder that holds the package."""
    digest = hashlib.sha256()
    for path in code_files(project):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(project).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    commit = _git(project, "rev-parse", "HEAD")
    changed = bool(commit) and bool(_git(project, "status", "--porcelain", "--untracked-files=normal", "--", PACKAGE))
    return CodeVersion(
        package=_installed(DISTRIBUTION), content=digest.hexdigest()[:DIGEST_LENGTH], commit=commit, changed=changed
    )


@cache
def environment() -> dict[str, str]:
    """Python, platform, processors and the version of every installed distribution."""
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": str(os.cpu_count()),
    }
    distributions = ((one.metadata["Name"], one.version) for one in importlib.metadata.distributions())
    return found | {
        f"package {name}": version for name, version in sorted(distributions, key=lambda one: one[0].lower())
    }


def _installed(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _git(project: Path, *arguments: str) -> str | None:
    # Without a repository of its own, git would tell of whichever one the project lies in.
    program = shutil.which("git")
    if program is None or not (project / ".git").exists():
        return None
    try:
        done = subprocess.run(  # noqa: S603
            [program, "-C", str(project), *arguments], capture_output=True, text=True, timeout=GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
