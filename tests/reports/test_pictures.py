import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.features.description import describe_features
from pipeline.reports.pictures import correlation_picture, drift_picture, equity_picture


def image(markdown: str) -> Image.Image:
    found = re.fullmatch(r"!\[[^\]]*\]\(data:image/png;base64,([^)]*)\)", markdown)
    assert found is not None
    return Image.open(io.BytesIO(base64.b64decode(found.group(1))))


@pytest.fixture
def features() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    holes = np.where(np.arange(300) % 2, np.nan, rng.normal(size=300))
    return pd.DataFrame({"a": rng.normal(size=300), "b": rng.normal(size=300), "holes": holes, "constant": 1.0})


def test_pictures_are_images_and_the_same_bytes_twice(features: pd.DataFrame) -> None:
    times = pd.date_range("2024-03-05", periods=300, freq="h", tz="UTC", name="timestamp")
    equity = pd.Series(np.linspace(100_000, 101_000, 300), index=times)
    drift = describe_features(features)["drift"]
    for draw in (
        lambda: correlation_picture(features, "correlations"),
        lambda: drift_picture(features, drift, "drift"),
        lambda: equity_picture({"All fades": equity}, "equity"),
    ):
        first = draw()

        assert image(first).width > 500
        assert draw() == first


def test_drift_picture_of_features_too_short_to_judge_is_empty_and_no_error() -> None:
    features = pd.DataFrame({"a": np.arange(20.0)})

    assert image(drift_picture(features, describe_features(features)["drift"], "drift")).width > 500


def test_correlation_picture_of_nothing_that_varies_is_a_sentence() -> None:
    assert correlation_picture(pd.DataFrame(index=range(3)), "none").startswith("Fewer than two features vary")
