"""The environment variables that Dagster and MLflow read, set from the home and the one choice of database.

``VPOC_HOME`` says where things lie. ``VPOC_POSTGRES_URL`` puts Dagster and MLflow on that PostgreSQL
server; without it both use SQLite in the home. Variables that a user has set are left alone.
"""

import datetime as dt
import logging
import os
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from pipeline.addresses import checked_address, postgres_address
from pipeline.errors import ConfigurationError
from pipeline.home import INSTANCE, POSTGRES_INSTANCE, Home, expanded
from pipeline.leftovers import drop_dead_files, temporary_name

__all__ = [
    "MLFLOW_SCHEMA",
    "POSTGRES_VARIABLE",
    "first_month",
    "make_tracking_store",
    "prepare_environment",
    "tracking_uri",
]

FIRST_MONTH_VARIABLE = "VPOC_FIRST_MONTH"
POSTGRES_VARIABLE = "VPOC_POSTGRES_URL"
TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
# Dagster and MLflow each keep a table alembic_version: in one schema they would overwrite each other's.
MLFLOW_SCHEMA = "mlflow"


def prepare_environment(home: Home) -> None:
    """Make the home's folders and set what Dagster and MLflow read from the environment.

    Raises
    ------
    ConfigurationError
        If the home can't be written, ``VPOC_POSTGRES_URL`` is no PostgreSQL address or does not answer,
        ``MLFLOW_TRACKING_URI`` can't be read, or ``DAGSTER_HOME`` is set to something that is not a folder.
    """
    try:
        for folder in (home.assets, home.reports, home.dagster, home.mlflow, home.logs):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder {home.root} can't be created: {error.strerror}; set VPOC_HOME to another folder"
        ) from error
    for folder in (home.root, home.assets, home.reports, home.dagster, home.mlflow, home.logs):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigurationError(f"the folder {folder} is not writable; set VPOC_HOME to another folder")
    drop_dead_files(home.root)
    dagster_home = os.environ.get("DAGSTER_HOME")
    if dagster_home and not (Path(dagster_home).is_absolute() and Path(dagster_home).is_dir()):
        raise ConfigurationError(
            f"DAGSTER_HOME is {dagster_home!r}, which is not the full path of a folder: unset it, or point it to "
            f"{INSTANCE}"
        )
    os.environ.setdefault("VPOC_HOME", str(home.root))
    # Processes that are started from here work in other folders.
    for name in ("VPOC_INSTRUMENTS", "VPOC_CALENDARS"):
        if os.environ.get(name):
            os.environ[name] = str(expanded(os.environ[name]).absolute())
    os.environ.setdefault("VPOC_DAGSTER_STORAGE", str(home.dagster))
    # Git is asked for the commit of each run; where there is none, MLflow would warn at every import.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Seven workers of a quarter gigabyte each, for jobs of its assistant that nobody here starts.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    if value := os.environ.get(TRACKING_VARIABLE):
        checked_address(value, TRACKING_VARIABLE)
    value = os.environ.get(POSTGRES_VARIABLE)
    if not value:
        os.environ.setdefault("DAGSTER_HOME", str(INSTANCE))
        return
    url = os.environ[POSTGRES_VARIABLE] = postgres_address(value, POSTGRES_VARIABLE)
    # The project's own embedded instance, exported for some dagster command, is no choice against PostgreSQL.
    if os.environ.get("DAGSTER_HOME") in (None, "", str(INSTANCE)):
        os.environ["DAGSTER_HOME"] = str(POSTGRES_INSTANCE)
    if TRACKING_VARIABLE not in os.environ:
        _make_mlflow_schema(url)
        os.environ[TRACKING_VARIABLE] = _in_schema(url, MLFLOW_SCHEMA)


def tracking_uri(home: Home) -> str:
    """Return where MLflow keeps its records: ``MLFLOW_TRACKING_URI``, the home's SQLite file without it."""
    return os.environ.get(TRACKING_VARIABLE) or f"sqlite:///{home.mlflow / 'mlflow.db'}"


def first_month() -> str:
    """The first month of trade dates that is kept: ``VPOC_FIRST_MONTH``, 2005-01 without it.

    Raises
    ------
    ConfigurationError
        If it is not a month such as 2005-01.
    """
    value = os.environ.get(FIRST_MONTH_VARIABLE) or "2005-01"
    try:
        month = dt.datetime.strptime(value, "%Y-%m").replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise ConfigurationError(f"{FIRST_MONTH_VARIABLE} is {value!r}; give a month such as 2005-01") from error
    if month > dt.datetime.now(tz=dt.UTC):
        raise ConfigurationError(
            f"{FIRST_MONTH_VARIABLE} is {value!r}, which is in the future; give a month such as 2005-01"
        )
    return month.strftime("%Y-%m")


def make_tracking_store(home: Home) -> str:
    """Make MLflow's database where it is an SQLite file that does not exist yet; return where MLflow's records are.

    MLflow makes some fifty tables one by one: a process killed meanwhile, or a second one at the same time,
    would leave a file that no later run can use. So it is made under a temporary name, and renamed when whole.
    """
    uri = tracking_uri(home)
    if not uri.startswith("sqlite:///"):
        return uri
    database = Path(uri.removeprefix("sqlite:///"))
    if database.exists():
        return uri
    database.parent.mkdir(parents=True, exist_ok=True)
    temporary = database.parent / temporary_name(database.name)
    from mlflow.tracking import MlflowClient

    for name in ("alembic", "mlflow"):
        # Making the database tells of each migration; a user needs none of it. After the import, which sets levels.
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        MlflowClient(tracking_uri=f"sqlite:///{temporary}").search_experiments(max_results=1)
        try:
            os.link(temporary, database)
        except FileExistsError:
            pass  # another process was first: its file is as good
        except OSError:  # a file system without links
            temporary.replace(database)
    finally:
        temporary.unlink(missing_ok=True)
    return uri


def _in_schema(url: str, schema: str) -> str:
    parts = urlsplit(url)
    option = "options=" + quote(f"-csearch_path={schema}", safe="")
    return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, option]))))


def _make_mlflow_schema(url: str) -> None:
    import psycopg2

    try:
        connection = psycopg2.connect(url)
    except psycopg2.Error as error:
        raise ConfigurationError(
            f"the PostgreSQL server of {POSTGRES_VARIABLE} does not answer: {' '.join(str(error).split())}"
        ) from error
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {MLFLOW_SCHEMA}")
    finally:
        connection.close()
