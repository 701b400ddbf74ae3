"""Chunks, in any cut and order and merging, give what all of it at once gives."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.streaming import bench_streaming, seeded_trades
from pipeline.errors import ConfigurationError, DataError
from pipeline.market.cleaning import clean_bars
from pipeline.market.instruments import Instrument, load_instruments
from pipeline.market.readers import ReadOptions
from pipeline.profiles import session_profiles
from pipeline.profiles.streaming import StreamedProfiles
from pipeline.profiles.trades import stream_bars, stream_trades, trade_levels, trade_profiles
from tests.profiles.frames import frame
from tests.profiles.trade_frames import Trade, trades_frame, with_fault

ES = load_instruments()["ES"]
DAY = 86_400
# Seconds from the opening of 2024-03-05: two sessions and nights, some of it outside of every session.
TRADES = st.lists(
    st.tuples(
        st.integers(-DAY, 2 * DAY), st.integers(18_000, 18_300), st.integers(-1, 50), st.sampled_from([-1, 0, 1])
    ),
    min_size=1,
    max_size=30,
)


def _same(left: StreamedProfiles, right: StreamedProfiles) -> None:
    assert left.result().attrs == right.result().attrs
    assert left.counts == right.counts
    pd.testing.assert_frame_equal(left.result(), right.result(), check_exact=True)
    pd.testing.assert_frame_equal(left.levels(), right.levels(), check_exact=True)


@settings(max_examples=60, deadline=None)
@given(TRADES, st.data())
def test_streamed_trades_any_cut_order_and_merge_equals_one_shot(trades: list[Trade], data: st.DataObject) -> None:
    whole = trades_frame(trades)
    if data.draw(st.booleans(), "contracts"):
        names = st.sampled_from(["ESH24", "ESM24"])
        whole["contract"] = pd.array([data.draw(names) for _ in trades], dtype="str")
    hours = data.draw(st.sampled_from(["rth", "eth"]))
    order = data.draw(st.permutations(range(len(trades))), "order")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(trades)), max_size=5), "cuts"))
    streams = [StreamedProfiles(ES, hours=hours) for _ in range(3)]
    for place, chunk in enumerate(np.split(np.array(order), cuts)):
        streams[place % 3].add(whole.iloc[chunk])

    merged = streams[1].merge(streams[2]).merge(streams[0])

    _same(merged, StreamedProfiles(ES, hours=hours).add(whole))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(18_000, 18_050), st.integers(0, 20), st.integers(0, 50), st.booleans()),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(["uniform", "close", "tpo"]),
    st.sampled_from([1, 4]),
    st.data(),
)
def test_streamed_bars_any_cut_and_order_equals_session_profiles(
    bars: list[tuple[int, int, int, bool]], allocation: str, height: int, data: st.DataObject
) -> None:
    whole = frame([(low, low + width, low, volume) for low, width, volume, _ in bars], minutes=90)
    whole["contract"] = pd.array(["ESM24" if later else "ESH24" for *_, later in bars], dtype="str")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(bars)), max_size=4), "cuts"))
    chunks = [whole.iloc[rows] for rows in np.split(np.arange(len(bars)), cuts)]
    rows = {"allocation": allocation, "ticks_per_row": height, "tpo_minutes": 200}
    stream = StreamedProfiles(ES, **rows)

    for place in data.draw(st.permutations(range(len(chunks))), "order"):
        stream.add(chunks[place])

    expected = session_profiles(whole, ES, **rows)
    pd.testing.assert_frame_equal(stream.result(), expected, check_exact=True, check_freq=False)


def test_streamed_bars_real_market_equals_session_profiles(es: Instrument, real_data: Path) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet").iloc[-60_000:]
    stream = StreamedProfiles(es, allocation="uniform", hours="eth")

    for first in (40_000, 0, 20_000):
        stream.add(bars.iloc[first : first + 20_000])

    expected = session_profiles(bars, es, hours="eth")
    pd.testing.assert_frame_equal(stream.result(), expected, check_exact=True, check_freq=False)


def test_add_refused_chunk_leaves_everything_as_it_was() -> None:
    stream = StreamedProfiles(ES).add(trades_frame([(0, 400, 2**41, 1)]))
    before = stream.result()

    with pytest.raises(DataError, match="session 2024-03-05 of ES: volume passes"):
        stream.add(trades_frame([(-DAY, 400, 1, 1), (5, 400, 2**41, 1), (6, 400, 1, 1)]))

    pd.testing.assert_frame_equal(stream.result(), before)
    assert stream.counts.rows_in == 1
    assert stream.add(trades_frame([(5, 400, 2**41, 1)])).result()["volume"].tolist() == [2.0**42]


def test_merge_past_the_limit_is_refused_before_adding() -> None:
    left = StreamedProfiles(ES).add(trades_frame([(0, 400, 2**41, 1), (-DAY, 400, 1, 1)]))
    right = StreamedProfiles(ES).add(trades_frame([(-DAY, 400, 1, 1), (0, 400, 2**41 + 1, 1)]))

    with pytest.raises(DataError, match="session 2024-03-05 of ES: volume passes"):
        left.merge(right)

    assert left.result()["volume"].tolist() == [1.0, 2.0**41]


@pytest.mark.parametrize("merged", [False, True])
def test_prices_too_far_apart_in_two_chunks_are_refused(merged: bool) -> None:
    stream = StreamedProfiles(ES).add(trades_frame([(0, 400, 1, 1)]))
    far = trades_frame([(0, 400 + 2**24, 1, 1)])

    with pytest.raises(DataError, match="session 2024-03-05 of ES: prices span more than"):
        stream.merge(StreamedProfiles(ES).add(far)) if merged else stream.add(far)

    assert stream.levels().index.get_level_values("price").tolist() == [100.0]


def test_merge_with_itself_doubles() -> None:
    stream = StreamedProfiles(ES).add(trades_frame([(0, 400, 3, 1), (0, 402, 1, -1)]))

    stream.merge(stream)

    assert stream.levels()["volume"].tolist() == [6, 0, 2]
    assert stream.counts.rows_in == 4


def test_merge_other_stays_as_it_is() -> None:
    other = StreamedProfiles(ES).add(trades_frame([(0, 400, 3, 1)]))
    StreamedProfiles(ES).merge(other).add(trades_frame([(0, 400, 9, 1)]))

    assert other.result()["volume"].tolist() == [3]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"hours": "eth"}, "profiles with hours 'rth' and 'eth' can't be merged"),
        ({"allocation": "uniform"}, "profiles with allocation 'trades' and 'uniform' can't be merged"),
        ({"off_tick": "reject"}, "profiles with off_tick"),
        ({"expansion_rows": 1}, "profiles with expansion_rows 2 and 1"),
    ],
)
def test_merge_other_settings_are_refused(settings: dict, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        StreamedProfiles(ES).merge(StreamedProfiles(ES, **settings))


def test_merge_other_instrument_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="instrument 'ES' and 'NQ'"):
        StreamedProfiles(ES).merge(StreamedProfiles(load_instruments()["NQ"]))


def test_chunks_with_and_without_contract_are_refused() -> None:
    stream = StreamedProfiles(ES).add(trades_frame([(0, 400, 3, 1)]))
    named = trades_frame([(0, 400, 3, 1)]).assign(contract="ESH24")

    with pytest.raises(DataError, match="some chunks of ES have a column contract and others have none"):
        stream.add(named)
    with pytest.raises(DataError, match="some chunks of ES have a column contract and others have none"):
        stream.merge(StreamedProfiles(ES).add(named))


def test_empty_chunk_without_contract_says_nothing_of_the_others() -> None:
    named = frame([(400, 402, 401, 5)]).assign(contract="ESH24")
    empty = named.iloc[:0].drop(columns="contract")

    for first, second in ((empty, named), (named, empty)):
        stream = StreamedProfiles(ES, allocation="uniform").add(first).add(second)
        assert stream.result()["contract"].tolist() == ["ESH24"]
    assert "contract" in StreamedProfiles(ES, allocation="uniform").add(named.iloc[:0]).result()
    assert "contract" not in StreamedProfiles(ES, allocation="uniform").add(empty).result()
    unnamed = frame([(400, 402, 401, 5)])
    assert "contract" not in StreamedProfiles(ES, allocation="uniform").add(named.iloc[:0]).add(unnamed).result()


def test_unknown_allocation_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="allocation is 'even'"):
        StreamedProfiles(ES, allocation="even")  # type: ignore[arg-type]


def test_nothing_added_gives_empty_results() -> None:
    stream = StreamedProfiles(ES)

    assert (len(stream.result()), len(stream.levels()), stream.counts.rows_in) == (0, 0, 0)
    assert len(stream.add(trades_frame([])).result()) == 0


def test_seeded_trades_are_the_same_again_and_stream_as_at_once() -> None:
    chunks = list(seeded_trades(ES, 5_000, seed=7, per_session=2_000, chunk_rows=1_500))
    again = list(seeded_trades(ES, 5_000, seed=7, per_session=2_000, chunk_rows=1_500))
    stream = StreamedProfiles(ES, hours="eth")
    for chunk in chunks:
        stream.add(chunk)

    pd.testing.assert_frame_equal(pd.concat(chunks), pd.concat(again))
    assert [len(chunk) for chunk in chunks] == [1_500, 1_500, 1_500, 500]
    pd.testing.assert_frame_equal(stream.result(), trade_profiles(pd.concat(chunks), ES, hours="eth"))
    assert len(stream.result()) == 3


def test_bench_streaming_from_memory_and_file_agree(tmp_path: Path) -> None:
    file = tmp_path / "trades.parquet"

    memory = bench_streaming(20_000, chunk_rows=3_000)
    written = bench_streaming(20_000, file=file, chunk_rows=3_000)

    assert (memory["agrees"], written["agrees"]) == (True, True)
    assert memory["trades"] == written["trades"] == 20_000
    assert memory["levels"] == written["levels"]


def test_stream_trades_memory_does_not_grow_with_the_number_of_trades() -> None:
    # The sum of what is held, not the process: what it costs to hold ten times the trades.
    held = []
    for trades in (10_000, 100_000):
        stream = StreamedProfiles(ES, hours="eth")
        for chunk in seeded_trades(ES, trades, per_session=trades // 2, chunk_rows=5_000):
            chunk["price"] = 2_000.0 + chunk["price"] % 1  # the same range
            stream.add(chunk)
        held.append(sum(each.volume.nbytes + each.buy.nbytes + each.sell.nbytes for each in stream._sums.values()))

    assert held[0] == held[1]


def test_stream_trades_file_equals_frame(tmp_path: Path) -> None:
    trades = trades_frame([(i * 40, 18_000 + i % 7, 1 + i % 5, i % 3 - 1) for i in range(500)])
    trades = with_fault(trades, 3, price=-1)
    file = tmp_path / "trades.parquet"
    trades.to_parquet(file, row_group_size=100)
    seen = []

    stream = stream_trades(file, ES, chunk_rows=90, progress=lambda rows, share: seen.append((rows, round(share, 2))))

    pd.testing.assert_frame_equal(stream.result(), trade_profiles(trades, ES))
    pd.testing.assert_frame_equal(stream.levels(), trade_levels(trades, ES))
    assert stream.result().attrs["rows_refused"] == {"bad_price": 1}
    assert (seen[0], seen[-1]) == ((90, 0.18), (500, 1.0))


def _bars_file(folder: Path) -> Path:
    bars = frame([(18_000 + i % 9, 18_004 + i % 9, 18_002 + i % 9, i % 6) for i in range(390)])
    bars.loc[7, "volume"] = -1
    bars.loc[8, "high"] = 0
    bars.loc[9, ["open", "close"]] = bars.loc[9, "close"] + 0.01
    bars.loc[301, "timestamp"] = bars.loc[300, "timestamp"]
    path = folder / "bars.parquet"
    bars.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_stream_bars_file_equals_session_profiles_of_clean_bars(tmp_path: Path, suffix: str) -> None:
    file = _bars_file(tmp_path)
    raw = pd.read_parquet(file)
    if suffix == "csv":
        file = tmp_path / "bars.csv"
        raw.to_csv(file, index=False)
    clean = clean_bars(raw, ES)

    stream = stream_bars(file, ES, chunk_rows=100)

    expected = session_profiles(clean.bars, ES)
    pd.testing.assert_frame_equal(stream.result(), expected, check_exact=True, check_freq=False)
    assert stream.result().attrs["rows_refused"] == {
        "bad_ohlc": 1, "negative_volume": 1, "conflicting_duplicate": 1,
    }  # fmt: skip
    assert (stream.counts.rows_in, stream.counts.used, stream.counts.prices_rounded) == (390, 387, 1)


def test_stream_bars_chunk_back_in_time_is_refused(tmp_path: Path) -> None:
    bars = frame([(400, 400, 400, 1)] * 20)
    file = tmp_path / "bars.parquet"
    pd.concat([bars, bars.iloc[:5]]).to_parquet(file)

    with pytest.raises(DataError, match="bars around row 21 begin at 2024-03-05T14:30:00"):
        stream_bars(file, ES, chunk_rows=20)
    assert stream_bars(file, ES, chunk_rows=100).result().attrs["rows_refused"] == {"duplicate": 5}


def test_stream_bars_wrong_options_are_refused(tmp_path: Path) -> None:
    file = _bars_file(tmp_path)

    with pytest.raises(ConfigurationError, match="need their length; set bar"):
        stream_bars(file, ES, ReadOptions(label="close"))
    with pytest.raises(ConfigurationError, match="format 'elsewhere' is unknown"):
        stream_bars(file, ES, ReadOptions(format="elsewhere"))
    with pytest.raises(ConfigurationError, match="allocation is 'trades'"):
        stream_bars(file, ES, allocation="trades")  # type: ignore[arg-type]
