"""Home of everything the program writes: one folder, ``VPOC_HOME``."""

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.leftovers import temporary_name

__all__ = ["INSTANCE", "POSTGRES_INSTANCE", "PROJECT", "Home", "expanded", "vpoc_home", "write_whole"]

PROJECT = Path(__file__).resolve().parents[1]
_CHECKOUT = (PROJECT / "pyproject.toml").is_file()
# Dagster's files lie at the checkout's top; a wheel has them inside the package.
INSTANCE = PROJECT if _CHECKOUT else PROJECT / "pipeline" / "instance"
POSTGRES_INSTANCE = PROJECT / "deploy" / "postgres" if _CHECKOUT else INSTANCE / "postgres"


@dataclass(frozen=True)
class Home:
    """The places under one folder.

    Attributes
    ----------
    root
        The folder itself, absolute.
    """

    root: Path

    @property
    def assets(self) -> Path:
        """Parquet files of the assets: ``assets/<asset>/<symbol>/<month>.parquet``."""
        return self.root / "assets"

    @property
    def reports(self) -> Path:
        """Report pages, one a symbol."""
        return self.root / "reports"

    @property
    def dagster(self) -> Path:
        """Dagster's embedded instance: runs, events, logs."""
        return self.root / "dagster"

    @property
    def mlflow(self) -> Path:
        """MLflow's embedded database and artifacts."""
        return self.root / "mlflow"

    @property
    def models(self) -> Path:
        """Trainings' records: ``models/<symbol>/<family>/<training>``."""
        return self.root / "models"

    @property
    def logs(self) -> Path:
        """Folder of logs too long for the screen."""
        return self.root / "logs"

    @property
    def features(self) -> Path:
        """The user's own features, files of functions."""
        return self.root / "features"

    @property
    def model_families(self) -> Path:
        """The user's own model families, one file each."""
        return self.root / "model_families"

    @property
    def strategies(self) -> Path:
        """The user's own strategies, one file each."""
        return self.root / "strategies"

    @property
    def sources(self) -> Path:
        """File that maps symbols to the files with their bars."""
        return self.root / "sources.yaml"

    @property
    def settings(self) -> Path:
        """The user's settings, where they differ from the defaults."""
        return self.root / "settings.yaml"


def vpoc_home() -> Home:
    """Return the home that ``VPOC_HOME`` names; without it ``var`` in the checkout, ``~/vpoc`` where there is none."""
    return Home(expanded(os.environ.get("VPOC_HOME") or (str(PROJECT / "var") if _CHECKOUT else "~/vpoc")).resolve())


def expanded(path: str) -> Path:
    """A path with ``~`` as the home folder of its user; left as it is where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (pathlib's raises for an unknown user)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and rename it: a killed run leaves the old one whole."""
    handle, temporary = _beside(path)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _beside(path: Path) -> tuple[int, Path]:
    """An open temporary file in the folder of a path, which is made where it is missing."""
    left = 100
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.parent / temporary_name(path.name)
            return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), temporary
        except (FileNotFoundError, FileExistsError):  # another process removes the folder, which was empty, or makes it
            left -= 1
            if not left:
                raise
