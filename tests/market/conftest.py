"""Real bars that several tests look at, read once."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.market.readers import read_bars


@pytest.fixture(scope="session")
def es_years(real_data: Path) -> pd.DataFrame:
    """Raw 5-minute bars of ES, 2015 to 2021; not to be written into."""
    return read_bars(real_data / "es_5m_2015_2021.parquet").frame
