"""Files of several series, whose column of symbols has an unusual name or none that could be known."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.market.readers import ReadOptions, read_bars

TIMES = pd.date_range("2022-03-02 23:00", periods=30, freq="5min", tz="UTC")
PRICES = ["open", "high", "low", "close"]


def series(price: float, **more: object) -> pd.DataFrame:
    """Thirty bars, each a quarter above the one before; their volume is the price without its fraction."""
    opens = price + 0.25 * pd.Series(range(len(TIMES)))
    bars = {"timestamp": TIMES, "open": opens, "high": opens + 1, "low": opens - 1, "close": opens + 0.5}
    return pd.DataFrame({**bars, "volume": int(price), **more})


def together(*parts: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(parts).sort_values("timestamp", kind="stable", ignore_index=True)


def stream(bars: pd.DataFrame) -> str:
    """A line of JSON a bar, by the letters that Alpaca's stream uses."""
    letters = {"timestamp": "t", **{name: name[0] for name in (*PRICES, "volume")}}
    rows = bars.assign(timestamp=bars["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")).rename(columns=letters)
    return "\n".join(json.dumps(row) for row in rows.to_dict("records"))


def written(bars: pd.DataFrame, folder: Path, kind: str) -> Path:
    path = folder / f"bars.{kind}"
    if kind == "jsonl":
        path.write_text(stream(bars))
    elif kind == "json":
        path.write_text(f"[{stream(bars).replace(chr(10), ',')}]")
    elif kind == "csv":
        bars.to_csv(path, index=False)
    else:
        bars.to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize(
    "name",
    ["S", "s", "T", "sym", "code", "asset", "security", "secid", "pair", "product_id", "instId", "market",
     "contract_code", "Whatever"],
)  # fmt: skip
def test_two_symbols_in_a_column_of_any_name_are_distinguished(tmp_path: Path, name: str, kind: str) -> None:
    path = written(together(series(4470.0, **{name: "ES"}), series(14_000.0, **{name: "NQ"})), tmp_path, kind)

    own = read_bars(path, instrument="NQ").frame

    assert own["volume"].tolist() == [14_000] * len(TIMES)
    assert own["open"].tolist() == series(14_000.0)["open"].tolist()
    with pytest.raises(DataError, match=rf"column '{name}' holds 2 symbols \(ES, NQ\).*--file-symbol ES"):
        read_bars(path, instrument="CL")


def test_symbols_distinguished_by_their_times_are_named_with_options_that_read_one_of_them(tmp_path: Path) -> None:
    path = written(together(series(4470.0, S="ESH2"), series(4478.0, S="ESM2")), tmp_path, "jsonl")

    with pytest.raises(DataError, match=r"--columns 'symbol=S'\) and .*--file-symbol ESH2.*--columns 'contract=S'"):
        read_bars(path, instrument="ES")
    of_march = read_bars(path, ReadOptions(columns={"symbol": "S"}, file_symbol="ESH2")).frame
    assert of_march["volume"].tolist() == [4470] * len(TIMES)
    assert set(read_bars(path, ReadOptions(columns={"contract": "S"})).frame["contract"]) == {"ESH2", "ESM2"}


def test_alpaca_stream_with_types_statuses_and_symbols_is_read_by_the_small_letters(tmp_path: Path) -> None:
    both = together(series(4470.0, S="ES", T="b", s="final", C=1), series(14_000.0, S="NQ", T="b", s="final", C=1))

    own = read_bars(written(both, tmp_path, "jsonl"), instrument="ES").frame

    assert own[PRICES].equals(series(4470.0)[PRICES])


def test_binance_stream_with_small_and_capital_letters_is_read_by_the_small_ones(tmp_path: Path) -> None:
    kline = {"t": 1646262000000, "T": 1646262299999, "s": "BTCUSDT", "i": "5m", "f": 100, "L": 200, "o": "4473.75",
             "c": "4474.0", "h": "4477.0", "l": "4470.5", "v": "1810", "n": 1406, "x": True, "V": "9"}  # fmt: skip
    (tmp_path / "bars.jsonl").write_text("\n".join(json.dumps({**kline, "t": kline["t"] + i}) for i in (0, 300_000)))

    frame = read_bars(tmp_path / "bars.jsonl").frame

    assert frame["timestamp"].tolist() == TIMES[:2].tolist()
    assert (
        frame[[*PRICES, "volume", "num_trades"]].to_numpy().tolist()
        == [[4473.75, 4477.0, 4470.5, 4474.0, 1810.0, 1406.0]] * 2
    )


@pytest.mark.parametrize("name", ["S", "exchange", "expiry", "interval"])
def test_column_that_is_the_same_in_all_rows_is_left_alone(tmp_path: Path, name: str) -> None:
    path = written(series(4470.0, **{name: "ok"}), tmp_path, "csv")

    assert len(read_bars(path, instrument="ES").frame) == len(TIMES)


def test_series_numbered_or_of_other_lengths_are_distinguished(tmp_path: Path) -> None:
    numbered = together(series(4470.0, secid=11), series(14_000.0, secid=12), series(100.0, secid=13))
    lengths = together(series(4470.0, i="1m"), series(4471.0, i="5m"))

    with pytest.raises(DataError, match=r"column 'secid' holds 3 symbols \(11, 12, 13\)"):
        read_bars(written(numbered.assign(secid=numbered["secid"].astype(int)), tmp_path, "parquet"))
    with pytest.raises(DataError, match=r"column 'i' holds 2 symbols \(1m, 5m\) at the same times, in 30 of 60 rows"):
        read_bars(written(lengths, tmp_path, "csv"))


def test_statuses_spreads_and_corrections_are_not_symbols(tmp_path: Path) -> None:
    one = series(4470.0)
    twice = together(one, one.assign(close=one["close"] + 0.25).head(2))  # two clashes: told by no column
    status = twice.assign(status=["final", "provisional"] * 16, spread=range(32))

    assert len(read_bars(written(status.drop(columns="status"), tmp_path, "csv")).frame) == 32
    same = together(one.assign(file="a"), one.assign(file="b"))  # files that overlap: the same rows twice
    assert len(read_bars(written(same, tmp_path, "csv")).frame) == 60


def test_contracts_that_overlap_around_a_roll_stay_together(tmp_path: Path) -> None:
    old, new = series(4470.0, contract="ESH2"), series(4478.0, contract="ESM2")
    rolled = together(old.head(18), new.tail(15))  # three times of thirty in both

    assert read_bars(written(rolled, tmp_path, "csv")).frame["contract"].tolist().count("ESM2") == 15


@pytest.mark.parametrize("kind", ["text", "bool", "float", "category", "index"])
def test_symbols_of_any_type_are_distinguished(tmp_path: Path, kind: str) -> None:
    marks: tuple[object, object] = {"bool": (True, False), "text": ("A", "B")}.get(kind, (1.0, 2.0))
    both = together(series(4470.0, S=marks[0]), series(14_000.0, S=marks[1]))
    if kind == "category":
        both["S"] = both["S"].astype("category")
    (both.set_index(["S", "timestamp"]) if kind == "index" else both).to_parquet(tmp_path / "bars.parquet")

    with pytest.raises(DataError, match=r"column 'S' holds 2 symbols .* in 30 of 60 rows with other prices"):
        read_bars(tmp_path / "bars.parquet")


def test_symbols_that_share_no_times_are_distinguished_by_the_leaps_between_them(tmp_path: Path) -> None:
    both = together(series(4470.0, S="ES")[::2], series(14_000.0, S="NQ")[1::2])
    path = written(both, tmp_path, "csv")

    with pytest.raises(DataError, match=r"column 'S' holds 2 symbols \(ES, NQ\) and the price leaps between them"):
        read_bars(path)
    assert read_bars(path, instrument="ES").frame["open"].tolist() == series(4470.0)["open"].tolist()[::2]


def test_labels_of_rows_whose_price_leaps_elsewhere_are_not_symbols(tmp_path: Path) -> None:
    wild = series(4470.0, half=["first"] * 15 + ["second"] * 15, turn=["a", "b", "c"] * 10)
    leap = pd.Series([2.0, 2.0, 1.0, 1.0] * 7 + [2.0, 2.0])
    wild[PRICES] = wild[PRICES].mul(leap, axis=0)

    assert len(read_bars(written(wild, tmp_path, "csv")).frame) == 30


def test_messages_of_several_bars_a_line_are_read(tmp_path: Path) -> None:
    both = together(series(4470.0, S="ES"), series(14_000.0, S="NQ"))
    lines = stream(both).split("\n")
    (tmp_path / "bars.jsonl").write_text(
        "\n".join(f"[{one},{two}]" for one, two in zip(lines[::2], lines[1::2], strict=True))
    )

    assert read_bars(tmp_path / "bars.jsonl", instrument="NQ").frame["volume"].tolist() == [14_000] * len(TIMES)


def test_rows_without_a_time_are_left_to_the_cleaning(tmp_path: Path) -> None:
    both = together(series(4470.0, S="ES"), series(14_000.0, S="NQ"))
    untimed = pd.concat([both, both.head(60).assign(timestamp=pd.NaT)])

    frame = read_bars(written(untimed, tmp_path, "csv"), instrument="ES").frame

    assert len(frame) == 60
    assert frame["timestamp"].isna().sum() == 30
