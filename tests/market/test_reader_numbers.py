"""Detection of the decimal mark: from the column and its neighbours, or asked for."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.market.readers import ReadOptions, read_bars

TIMES = [f"2019-03-06T00:{minute:02}:00Z" for minute in range(60)]


def read(
    folder: Path, prices: list[str], volumes: list[str], **options: object
) -> tuple[list[float], list[float], str]:
    """Close and volume of bars that are written so, and what was said of them."""
    rows = [";".join([time, *[price] * 4, volume]) for time, price, volume in zip(TIMES, prices, volumes, strict=False)]
    path = folder / "bars.csv"
    path.write_text("timestamp;open;high;low;close;volume\n" + "\n".join(rows) + "\n", encoding="utf-8")
    raw = read_bars(path, ReadOptions(delimiter=";", **options))
    return raw.frame["close"].tolist(), raw.frame["volume"].tolist(), raw.description


@pytest.mark.parametrize(
    ("prices", "volumes", "expected_prices", "expected_volumes"),
    [
        # Germany: dots between thousands, in volumes beside decimal dots in prices, and everywhere.
        (["2786.5", "2785.25", "2785.0"], ["1.029", "630", "1.500"], [2786.5, 2785.25, 2785.0], [1029, 630, 1500]),
        (["2.786", "2.500", "999"], ["1.029", "630", "12"], [2786, 2500, 999], [1029, 630, 12]),
        (["2.786,50", "2.785,25"], ["1.029", "630"], [2786.5, 2785.25], [1029, 630]),
        (["2786,50", "2785,25"], ["1.029", "1.630"], [2786.5, 2785.25], [1029, 1630]),
        (["2786.5", "2785.25"], ["1.234.567", "2.345.678"], [2786.5, 2785.25], [1234567, 2345678]),
        (["2786.5"] * 40, ["1.029"] * 38 + ["1.500", "630"], [2786.5] * 40, [1029] * 38 + [1500, 630]),
        # America, quoted or not.
        (["2,786.50", "2,785.25"], ["1,029", "630"], [2786.5, 2785.25], [1029, 630]),
        (["2786.50", "2785.25"], ["1,029", "1,630"], [2786.5, 2785.25], [1029, 1630]),
        (["$2,786.50", "$2,785.25"], ["1,029,000", "630"], [2786.5, 2785.25], [1029000, 630]),
        # France (narrow and plain spaces), Switzerland (apostrophes), India (groups of two).
        (["2\u202f786,50", "2\u202f785,25"], ["1 029", "630"], [2786.5, 2785.25], [1029, 630]),
        (["2\xa0786,50", "2\xa0785,25"], ["1\xa0029", "630"], [2786.5, 2785.25], [1029, 630]),
        (["2'786.50", "2’785.25"], ["1'029", "630"], [2786.5, 2785.25], [1029, 630]),
        (["17,865.50", "17,850.25"], ["1,02,900", "63,000"], [17865.5, 17850.25], [102900, 63000]),
        # Plain: three decimals are decimals where a zero, other lengths or whole thousands say so.
        (["2.786", "2.501"], ["1029", "630"], [2.786, 2.501], [1029, 630]),
        (["154.201", "154.209"], ["0.125", "12.500"], [154.201, 154.209], [0.125, 12.5]),
        (["154.201", "154.209"], ["1.125", "1250"], [154.201, 154.209], [1.125, 1250]),
        (["2786.", "2785."], ["10.", "11."], [2786, 2785], [10, 11]),
        (["1.5E+03", "1.4e3"], ["1E2", "5"], [1500, 1400], [100, 5]),
        (["1.10", "1,234.5"], ["5", "6"], [1.1, 1234.5], [5, 6]),
    ],
)  # fmt: skip
def test_numbers_are_read_by_what_their_columns_show(
    tmp_path: Path,
    prices: list[str],
    volumes: list[str],
    expected_prices: list[float],
    expected_volumes: list[float],
) -> None:
    got_prices, got_volumes, _ = read(tmp_path, prices, volumes)

    assert got_prices == expected_prices
    assert got_volumes == expected_volumes


def test_thousands_are_reported(tmp_path: Path) -> None:
    _, _, description = read(tmp_path, ["2.786", "2.500"], ["1.029", "630"])

    assert "'.' stands between the thousands of open, high, low, close, volume" in description
    assert "decimal commas in open, high, low, close" in read(tmp_path, ["2786,5", "2785,2"], ["5", "630"])[2]


@pytest.mark.parametrize(
    ("prices", "volumes", "options", "sentence"),
    [
        (["2786.5", "2785.2"], ["1.029", "2.630"], {}, r"can be 1,029 or 1\.029; write it without the mark"),
        (["2786", "2785"], ["1.029", "2.630"], {}, r"can be 1,029 or 1\.029; set decimal \(--decimal ','\)"),
        # One whole number of forty may be a fraction's.
        (["2786.5"] * 40, ["1.029"] * 39 + ["630"], {}, r"'1\.029' can be 1,029 or 1\.029; write it without the mark"),
        (["2,786", "2,785"], ["5", "6"], {}, r"'open': '2,786' can be 2,786 or 2\.786; set decimal \(--decimal '\.'\)"),
        (["2786,5", "2785,2"], ["1,029", "2,630"], {}, r"'volume': '1,029' can be 1,029 or 1\.029"),
        (["2786,5", "2785.2"], ["5", "6"], {}, r"numbers with commas and numbers with dots"),
        (["2786.50", "2785.25"], ["1,029", "630"], {"decimal": ","}, r"'volume': '1,029' would be a fraction with"),
        # A zero is written without a mark beside thousands and beside fractions.
        (["56738.76", "56813.98"], ["50.975", "36.520", "0"], {}, r"'50\.975' can be 50,975 or 50\.975; write .*'\.'"),
        (["1,42686", "1,42360"], ["155,510", "0"], {}, r"'155,510' can be 155,510 or 155\.510"),
        (["1.427", "1.421"], ["155.510", "0"], {}, r"'volume': '155\.510' can be 155,510 or 155\.510"),
        (["2786.50", "2785.25"], ["5", "6"], {"decimal": ","}, r"'2786.50' is not a number with a decimal comma"),
        (["2786.50%", "2785.25"], ["5", "6"], {}, r"'2786.50%' is not a number"),
        (["27,86.50", "2785.25"], ["5", "6"], {}, r"with commas and numbers with dots|'27,86.50' is not a number"),
        (["12 34 56", "2785.25"], ["5", "6"], {}, r"'12 34 56' is not a number"),
    ],
)  # fmt: skip
def test_numbers_of_two_readings_are_refused(
    tmp_path: Path, prices: list[str], volumes: list[str], options: dict[str, str], sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        read(tmp_path, prices, volumes, **options)


@pytest.mark.parametrize(("decimal", "expected"), [(".", 1.029), (",", 1029.0)])
def test_named_decimal_mark_settles_what_can_be_read_in_two_ways(tmp_path: Path, decimal: str, expected: float) -> None:
    prices = ["27865", "27852"]  # no mark of their own

    assert read(tmp_path, prices, ["1.029", "2.630"], decimal=decimal)[1][0] == expected


@pytest.mark.parametrize(
    ("prices", "volumes", "decimal", "expected"),
    [
        (["56738.76", "56813.98", "56777.00"], ["50.975", "36.520", "0"], ".", [50.975, 36.52, 0]),
        (["56738.76", "56813.98", "56777.00"], ["50.975", "36.520", "51"], ".", [50.975, 36.52, 51]),
        (["1,42686", "1,42360", "1,42593"], ["155,510", "137,126", "0"], ",", [155.51, 137.126, 0]),
        (["2786,50", "2785,25"], ["1,029", "630"], ",", [1.029, 630]),
        (["1.427", "1.421", "1.424"], ["155.510", "137.126", "0"], ".", [155.51, 137.126, 0]),
    ],
)
def test_named_decimal_mark_wins_over_what_volumes_seem_to_show(
    tmp_path: Path, prices: list[str], volumes: list[str], decimal: str, expected: list[float]
) -> None:
    assert read(tmp_path, prices, volumes, decimal=decimal)[1] == expected


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 400_000), min_size=2, max_size=12),
    st.lists(st.integers(0, 5_000_000), min_size=2, max_size=12),
    st.sampled_from([("", "."), (",", "."), (".", ","), ("'", "."), ("\u202f", ",")]),
)
def test_prices_and_volumes_written_in_any_countrys_way_are_read_back_or_asked(
    tmp_path: Path, quarters: list[int], volumes: list[int], marks: tuple[str, str]
) -> None:
    thousands, decimal = marks

    def written(number: str) -> str:
        return number.replace(",", "\0").replace(".", decimal).replace("\0", thousands)

    prices = [written(f"{each / 4:,.2f}") for each in quarters]
    counts = [written(f"{each:,}") for each in volumes]
    rows = min(len(quarters), len(volumes))
    got, told = None, ""
    try:
        got = read(tmp_path, prices, counts)[:2]
    except DataError as refused:
        told = str(refused)
    assert "can be" in told or got == ([each / 4 for each in quarters[:rows]], volumes[:rows])
