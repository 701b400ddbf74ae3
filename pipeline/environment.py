"""The environment variables that Dagster and MLflow read, set from the home and the one choice of database.

``VPOC_HOME`` says where things lie. ``VPOC_POSTGRES_URL`` puts Dagster and MLflow on that PostgreSQL
server; without it both use SQLite in the home. Variables that a user has set are left alone.
"""

import os
from urllib.parse import quote, urlsplit, urlunsplit

from pipeline.errors import ConfigurationError
from pipeline.home import PROJECT, Home

__all__ = ["MLFLOW_SCHEMA", "POSTGRES_VARIABLE", "prepare_environment", "tracking_uri"]

POSTGRES_VARIABLE = "VPOC_POSTGRES_URL"
# Dagster and MLflow each keep a table alembic_version: in one schema they would overwrite each other's.
MLFLOW_SCHEMA = "mlflow"


def prepare_environment(home: Home) -> None:
    """Make the home's folders and set what Dagster and MLflow read from the environment.

    Raises
    ------
    ConfigurationError
        If the home can't be written, or ``VPOC_POSTGRES_URL`` is no PostgreSQL address, or does not answer.
    """
    try:
        for folder in (home.assets, home.reports, home.dagster, home.mlflow, home.logs):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder {home.root} can't be made: {error.strerror}; name another one in VPOC_HOME"
        ) from error
    os.environ.setdefault("VPOC_HOME", str(home.root))
    os.environ.setdefault("VPOC_DAGSTER_STORAGE", str(home.dagster))
    # Git is asked for the commit of each run; where there is none, MLflow would warn at every import.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    url = os.environ.get(POSTGRES_VARIABLE)
    if not url:
        os.environ.setdefault("DAGSTER_HOME", str(PROJECT))
        return
    os.environ.setdefault("DAGSTER_HOME", str(PROJECT / "deploy" / "postgres"))
    if "MLFLOW_TRACKING_URI" not in os.environ:
        _make_mlflow_schema(url)
        os.environ["MLFLOW_TRACKING_URI"] = _in_schema(url, MLFLOW_SCHEMA)


def tracking_uri(home: Home) -> str:
    """Return where MLflow keeps its records: ``MLFLOW_TRACKING_URI``, the home's SQLite file without it."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home.mlflow / 'mlflow.db'}"


def _in_schema(url: str, schema: str) -> str:
    parts = urlsplit(url)
    option = "options=" + quote(f"-csearch_path={schema}", safe="")
    return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, option]))))


def _make_mlflow_schema(url: str) -> None:
    import psycopg2

    if urlsplit(url).scheme not in ("postgresql", "postgres"):
        raise ConfigurationError(f"{POSTGRES_VARIABLE} must look like postgresql://user:password@host:5432/database")
    try:
        connection = psycopg2.connect(url)
    except psycopg2.Error as error:
        # The address may hold a password: only the server's own words are shown.
        raise ConfigurationError(
            f"the PostgreSQL server of {POSTGRES_VARIABLE} does not answer: {' '.join(str(error).split())}"
        ) from error
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {MLFLOW_SCHEMA}")
    finally:
        connection.close()
