"""Addresses of databases: what is read, and what is refused without a word of the secret."""

from pathlib import Path
from urllib.parse import quote

import psycopg2.extensions
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from pipeline.addresses import checked_address, postgres_address, shown_address
from pipeline.environment import prepare_environment
from pipeline.errors import ConfigurationError
from pipeline.home import Home
from pipeline.tuning.database import tuning_url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hun@ter2@db:5432/vpoc",
        "postgresql://me:hun/ter2@db:5432/vpoc",
        "postgresql://me:5432/ter2hun@db/vpoc",
        "postgresql://me:hun?ter2@db:5432/vpoc",
        "postgresql://me:hun#ter2@db:5432/vpoc",
        "postgresql://me:hun%ter2@db:5432/vpoc",
        "postgresql://me:hunter2%@db:5432/vpoc",
        "postgresql://me:hun[ter2@db:5432/vpoc",
        "postgresql://me:hun]ter2@db:5432/vpoc",
        "postgresql://me:hun ter2@db:5432/vpoc",
        "postgresql://me:hunter2\n@db:5432/vpoc",
        "postgresql://me:hun%00ter2@db:5432/vpoc",
        "postgresql://me:hun%FFter2@db:5432/vpoc",
        "postgresql://me:hunter2@db:port/vpoc",
        "postgresql://me:hunter2@db:70000/vpoc",
        "postgresql:///vpoc?user=me&password=hun%ter2",
    ],
)
def test_address_with_a_bare_special_character_names_the_variable_and_the_rule_alone(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI", "VPOC_OPTUNA_URL", "VPOC_POSTGRES_URL"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    for variable in ("VPOC_POSTGRES_URL", "MLFLOW_TRACKING_URI", "VPOC_OPTUNA_URL"):
        monkeypatch.setenv(variable, url)
        with pytest.raises(ConfigurationError, match=rf"^{variable} .*percent-encoded \(@ as %40") as caught:
            tuning_url(Home(tmp_path)) if variable == "VPOC_OPTUNA_URL" else prepare_environment(Home(tmp_path))
        for secret in ("hun", "ter2", "5432/ter"):
            assert secret not in str(caught.value)
        monkeypatch.delenv(variable)


@given(user=st.text(min_size=1), password=st.text())
def test_encoded_address_is_read_in_one_way_by_postgres_and_sqlalchemy(user: str, password: str) -> None:
    try:
        encoded = f"{quote(user, safe='')}:{quote(password, safe='')}"
    except UnicodeEncodeError:  # half of a surrogate pair, which no address can hold
        return
    address = f"postgres://{encoded}@db:5432/vpoc"
    if "\0" in user + password:
        with pytest.raises(ConfigurationError):
            postgres_address(address, "URL")
        return

    url = postgres_address(address, "URL")

    assert url == f"postgresql://{encoded}@db:5432/vpoc"
    read, alchemy = psycopg2.extensions.parse_dsn(url), make_url(url)
    assert (alchemy.username, alchemy.password, alchemy.host) == (user, password, "db")
    assert (read["user"], read.get("password", ""), read["host"], read["port"]) == (user, password, "db", "5432")


@given(st.text(alphabet="ab:/?#[]@% ", max_size=8))
def test_address_that_is_taken_is_read_in_one_way(password: str) -> None:
    address = f"postgresql://me:{password}@db:5432/vpoc"
    try:
        url = postgres_address(address, "URL")
    except ConfigurationError:
        return

    read, alchemy = psycopg2.extensions.parse_dsn(url), make_url(url)

    assert (read["host"], read["port"], read["dbname"]) == ("db", "5432", "vpoc")
    assert (alchemy.host, alchemy.port, alchemy.database) == ("db", 5432, "vpoc")
    assert read.get("password", "") == alchemy.password


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:////data/a@b/100%/studies.db",
        "file:///data/a@b",
        "./mlruns",
        "databricks://profile",
        "https://me:secret@mlflow.example:8443/prefix",
        "http://[::1]:5000",
        "postgresql://postgres:@/postgres?host=/tmp/socket",
        "postgresql+psycopg2://me:se%40cret@db/vpoc?options=-csearch_path%3Dmlflow",
    ],
)
def test_address_that_is_plain_stays_as_it_is(address: str) -> None:
    assert checked_address(address, "MLFLOW_TRACKING_URI") == address


def test_address_of_another_database_is_refused_by_its_variable() -> None:
    with pytest.raises(ConfigurationError, match=r"^VPOC_POSTGRES_URL must look like postgresql://"):
        postgres_address("mysql://me:secret@db/vpoc", "VPOC_POSTGRES_URL")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:secret@host:5432/db?options=-csearch_path", "postgresql://host:5432/db"),
        ("http://me:secret@host/mlflow", "http://host/mlflow"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
    ],
)
def test_shown_address_holds_no_secret(uri: str, shown: str) -> None:
    assert shown_address(uri) == shown
