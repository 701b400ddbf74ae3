"""Indicators: against slow formulas and TA-Lib, their memory, rolls and frames."""

import numpy as np
import pandas as pd
import pytest

from pipeline.features import FeatureInputs, build_features, registered
from pipeline.features.families.technical import FRAMES, indicators
from pipeline.market import Instrument, simulate_market
from pipeline.strategy import HistorySettings
from tests.features.small_market import (
    bars_by_session,
    family_of,
    memory_differences,
    raw_values,
    truncation_differences,
)

# Percentages of a price and weights by it change a little when the whole market is shifted or turned upside down.
OF_PRICE = {"average_true_range", "rate_of_change", "mfi"}


def random_bars(es: Instrument, count: int = 320, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = 12_000 + np.cumsum(rng.integers(-9, 10, count))
    opens = np.append(12_000, close[:-1]) + rng.integers(-2, 3, count)
    high = np.maximum(opens, close) + rng.integers(0, 6, count)
    low = np.minimum(opens, close) - rng.integers(0, 6, count)
    ticks = {"open": opens, "high": high, "low": low, "close": close}
    frame = pd.DataFrame({name: es.to_prices(values) for name, values in ticks.items()})
    return frame.assign(volume=rng.integers(100, 5000, count).astype(float))


def _averages(values: list[float], alpha: float, first: int, length: int) -> list[float]:
    """Exponential averages that begin with the mean of ``length`` values from ``first`` on."""
    out = [np.nan] * len(values)
    out[first + length - 1] = float(np.mean(values[first : first + length]))
    for t in range(first + length, len(values)):
        out[t] = out[t - 1] + alpha * (values[t] - out[t - 1])
    return out


def slow_indicators(bars: pd.DataFrame, es: Instrument) -> dict[str, list[float]]:
    """Every indicator bar by bar from the books' formulas, without pandas."""
    h, l, c = ([int(x) for x in es.to_ticks(bars[name])] for name in ("high", "low", "close"))  # noqa: E741
    v = bars["volume"].tolist()
    n = len(c)
    tr = [np.nan] + [max(h[t], c[t - 1]) - min(l[t], c[t - 1]) for t in range(1, n)]
    atr = _averages(tr, 1 / 14, 1, 14)
    up = [0.0] + [float(max(c[t] - c[t - 1], 0)) for t in range(1, n)]
    down = [0.0] + [float(max(c[t - 1] - c[t], 0)) for t in range(1, n)]
    gain, loss = _averages(up, 1 / 14, 1, 14), _averages(down, 1 / 14, 1, 14)
    fast, slow = _averages(c, 2 / 13, 0, 12), _averages(c, 2 / 27, 0, 26)
    line = [a - b for a, b in zip(fast, slow, strict=True)]
    signal = _averages(line, 0.2, 25, 9)

    # Wilder's sums of 14, begun with 13 values, as TA-Lib does.
    plus, minus, dx = [np.nan] * n, [np.nan] * n, [np.nan] * n
    sums = [0.0, 0.0, 0.0]
    for t in range(1, n):
        rise, fall = h[t] - h[t - 1], l[t - 1] - l[t]
        moves = (rise if rise > max(fall, 0) else 0, fall if fall > max(rise, 0) else 0, tr[t])
        kept = 1.0 if t < 14 else 13 / 14
        sums = [kept * s + m for s, m in zip(sums, moves, strict=True)]
        if t >= 14:
            plus[t], minus[t] = 100 * sums[0] / sums[2], 100 * sums[1] / sums[2]
            dx[t] = 100 * abs(plus[t] - minus[t]) / (plus[t] + minus[t])
    adx = _averages(dx, 1 / 14, 14, 14)

    out: dict[str, list[float]] = {}
    out["rsi"] = [100 * g / (g + b) - 50 for g, b in zip(gain, loss, strict=True)]
    out["macd"] = [x / a for x, a in zip(line, atr, strict=True)]
    out["macd_signal"] = [x / a for x, a in zip(signal, atr, strict=True)]
    out["macd_histogram"] = [(x - s) / a for x, s, a in zip(line, signal, atr, strict=True)]
    out["average_true_range"] = [100 * a / x for a, x in zip(atr, c, strict=True)]
    out["adx"], out["plus_di"], out["minus_di"] = adx, plus, minus
    raw = [np.nan] * n
    for name in (
        *("bollinger_position", "bollinger_width", "stochastic_k", "stochastic_d", "williams_r", "obv_change", "cci"),
        *("mfi", "rate_of_change", "chaikin_money_flow", "aroon_oscillator", "choppiness"),
    ):
        out[name] = [np.nan] * n
    typical = [(h[t] + l[t] + c[t]) / 3 for t in range(n)]
    for t in range(30, n):
        last20, last14 = range(t - 19, t + 1), range(t - 13, t + 1)
        mean = np.mean([c[k] for k in last20])
        spread = np.sqrt(np.mean([(c[k] - mean) ** 2 for k in last20]))
        out["bollinger_position"][t] = (c[t] - mean) / spread
        out["bollinger_width"][t] = 4 * spread / atr[t]
        top, bottom = max(h[k] for k in last14), min(l[k] for k in last14)
        raw[t] = 100 * (c[t] - bottom) / (top - bottom)
        out["williams_r"][t] = raw[t] - 50
        out["stochastic_k"][t] = np.mean(raw[t - 2 : t + 1]) - 50
        out["stochastic_d"][t] = np.mean(out["stochastic_k"][t - 2 : t + 1])
        held = sum(v[k] for k in last20)
        out["obv_change"][t] = sum(np.sign(c[k] - c[k - 1]) * v[k] for k in last20) / held
        middle = np.mean([typical[k] for k in last20])
        out["cci"][t] = (typical[t] - middle) / (0.015 * np.mean([abs(typical[k] - middle) for k in last20]))
        flows = [(np.sign(typical[k] - typical[k - 1]), typical[k] * v[k]) for k in last14]
        bought, sold = sum(f for s, f in flows if s > 0), sum(f for s, f in flows if s < 0)
        out["mfi"][t] = 100 * bought / (bought + sold) - 50
        out["rate_of_change"][t] = 100 * (c[t] / c[t - 10] - 1)
        places = [(2 * c[k] - h[k] - l[k]) / (h[k] - l[k]) * v[k] if h[k] > l[k] else 0.0 for k in last20]
        out["chaikin_money_flow"][t] = sum(places) / held
        highest = max(range(t - 14, t + 1), key=lambda k: (h[k], k))
        lowest = min(range(t - 14, t + 1), key=lambda k: (l[k], -k))
        out["aroon_oscillator"][t] = 100 * (highest - lowest) / 14
        out["choppiness"][t] = 100 * np.log10(sum(tr[k] for k in last14) / (top - bottom)) / np.log10(14)
    return out


def test_indicators_on_a_random_walk_equal_slow_formulas(es: Instrument) -> None:
    bars = random_bars(es)

    found = indicators(bars, es)

    expected = slow_indicators(bars, es)
    assert sorted(found.columns) == sorted(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].iloc[40:], values[40:], rtol=1e-9, atol=1e-9, err_msg=name)


def test_indicators_on_a_random_walk_equal_ta_lib(es: Instrument) -> None:
    talib = pytest.importorskip("talib", reason="TA-Lib is not installed; the slow formulas are what is compared with")
    bars = random_bars(es, count=1000, seed=6)
    high, low, close = (es.to_ticks(bars[name]).astype(float) for name in ("high", "low", "close"))
    volume = bars["volume"].to_numpy()

    found = indicators(bars, es)

    atr = talib.ATR(high, low, close, 14)
    line, signal, histogram = talib.MACD(close, 12, 26, 9)
    upper, middle, _ = talib.BBANDS(close, 20, 2.0, 2.0)
    k, d = talib.STOCH(high, low, close, 14, 3, 0, 3, 0)
    obv = pd.Series(talib.OBV(close, volume))
    expected = {
        "rsi": talib.RSI(close, 14) - 50,
        "macd": line / atr,
        "macd_signal": signal / atr,
        "macd_histogram": histogram / atr,
        "bollinger_position": 2 * (close - middle) / (upper - middle),
        "bollinger_width": 2 * (upper - middle) / atr,
        "average_true_range": talib.NATR(high, low, close, 14),
        "adx": talib.ADX(high, low, close, 14),
        "plus_di": talib.PLUS_DI(high, low, close, 14),
        "minus_di": talib.MINUS_DI(high, low, close, 14),
        "stochastic_k": k - 50,
        "stochastic_d": d - 50,
        "williams_r": talib.WILLR(high, low, close, 14) + 50,
        "obv_change": obv.diff(20) / pd.Series(volume).rolling(20).sum(),
        "cci": talib.CCI(high, low, close, 20),
        "mfi": talib.MFI(high, low, close, volume, 14) - 50,
        "rate_of_change": talib.ROC(close, 10),
        "aroon_oscillator": talib.AROONOSC(high, low, 14),
    }
    # TA-Lib begins MACD's averages eight bars later; after 200 bars nothing is left of it.
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].iloc[240:], np.asarray(values)[240:], rtol=1e-7, atol=1e-7, err_msg=name)


def test_indicators_with_too_few_bars_are_missing(es: Instrument) -> None:
    assert indicators(random_bars(es, count=39), es).isna().all(axis=None)
    assert indicators(random_bars(es, count=40), es).iloc[-1].notna().all()


def test_indicators_of_the_first_bars_are_missing_however_many_follow(es: Instrument) -> None:
    bars = random_bars(es, count=90)

    whole = indicators(bars, es)

    assert whole.iloc[:39].isna().all(axis=None)
    for count in (1, 20, 39, 40, 55):
        pd.testing.assert_frame_equal(indicators(bars.iloc[:count], es), whole.iloc[:count], check_exact=True)


def test_indicators_of_a_market_that_does_not_move_are_missing_or_neutral(es: Instrument) -> None:
    bars = random_bars(es, count=100)
    for name in ("open", "high", "low", "close"):
        bars[name] = 3000.0

    last = indicators(bars, es).iloc[-1].dropna()

    neutral = {"plus_di", "minus_di", "obv_change", "rate_of_change", "chaikin_money_flow", "aroon_oscillator"}
    assert set(last.index) == neutral
    assert (last == 0).all()


def test_indicators_of_a_stopped_market_are_never_infinite(es: Instrument) -> None:
    bars = random_bars(es, count=200)
    stopped = bars["close"].iloc[99]
    for name in ("open", "high", "low", "close"):
        bars.loc[100:, name] = stopped

    found = indicators(bars, es)

    assert not np.isinf(found.to_numpy()).any()


def test_indicators_of_a_market_upside_down_change_sign_or_places(es: Instrument) -> None:
    bars = random_bars(es)
    turned = bars.assign(open=6000 - bars["open"], close=6000 - bars["close"])
    turned = turned.assign(high=6000 - bars["low"], low=6000 - bars["high"])

    up, down = indicators(bars, es).iloc[40:], indicators(turned, es).iloc[40:]

    for name in up.columns.difference(OF_PRICE):
        one = registered()[f"{name}_5m"]
        other = up[one.mirror.removesuffix("_5m")]
        np.testing.assert_allclose(down[name], -other if one.signed else other, atol=1e-8, err_msg=name)


def test_technical_features_are_there_for_every_bar_length() -> None:
    names = family_of("technical")

    assert len(names) == 20 * len(FRAMES)
    assert {name.rsplit("_", 1)[1] for name in names} == set(FRAMES)
    assert names["plus_di_60m"].mirror == "minus_di_60m"
    assert not names["adx_session"].signed


@pytest.fixture(scope="module")
def bars(es: Instrument) -> pd.DataFrame:
    return simulate_market(es, "2019-01-02", sessions=270, seed=3)


@pytest.fixture(scope="module")
def inputs(bars: pd.DataFrame, es: Instrument) -> FeatureInputs:
    return FeatureInputs.from_bars(bars, es)


def test_technical_features_on_data_cut_off_are_the_same_to_the_last_bit(inputs: FeatureInputs) -> None:
    # The last session of a quarter, the first of the next, and others.
    assert truncation_differences(inputs, family_of("technical"), [200, 257, 258, 268]) == set()


def test_technical_features_on_data_that_starts_later_are_the_same_to_the_last_bit(inputs: FeatureInputs) -> None:
    assert memory_differences(inputs, family_of("technical"), [1, 64]) == set()


def test_technical_features_forget_what_is_older_than_their_warm_up(bars: pd.DataFrame, es: Instrument) -> None:
    features = {name: one for name, one in family_of("technical").items() if name.endswith("_30m")}
    other = bars.copy()
    # A month of other prices, far before the last quarter but one.
    old = other["timestamp"] < "2019-03-01"
    for name in ("open", "high", "low", "close"):
        other.loc[old, name] += 100

    before, after = (build_features(FeatureInputs.from_bars(each, es), features=features) for each in (bars, other))

    assert before.iloc[-1].equals(after.iloc[-1])
    assert before.iloc[-1].notna().all()


def shifted(bars: pd.DataFrame, where: pd.Series, ticks: int, es: Instrument) -> pd.DataFrame:
    assert where.any()
    assert not where.all()
    changed = bars.copy()
    changed.loc[where, ["open", "high", "low", "close"]] += ticks * es.tick_size
    return changed


@pytest.mark.parametrize("ticks", [160, -400])
def test_technical_features_do_not_see_the_step_between_contracts(
    bars: pd.DataFrame, inputs: FeatureInputs, es: Instrument, ticks: int
) -> None:
    features = family_of("technical")
    # A contract that no slice begins with: what it is chained to has not changed.
    other = FeatureInputs.from_bars(shifted(bars, bars["contract"] == "ESH20", ticks, es), es)

    before, after = build_features(inputs, features=features), build_features(other, features=features)

    assert (inputs.history["contract"] == "ESH20").sum() > 10
    assert before.iloc[-1].notna().all()
    for name in features:
        if name.rsplit("_", 1)[0] in {"average_true_range", "rate_of_change"}:
            # Percentages of a price that is another now.
            np.testing.assert_allclose(before[name].iloc[198:], after[name].iloc[198:], rtol=0.05)
        else:
            assert before[name].equals(after[name]), name


def test_technical_features_do_not_depend_on_the_level_of_any_contract(
    bars: pd.DataFrame, inputs: FeatureInputs, es: Instrument
) -> None:
    features = {name: one for name, one in family_of("technical").items() if name.rsplit("_", 1)[0] not in OF_PRICE}
    other = FeatureInputs.from_bars(shifted(bars, bars["contract"] == "ESU19", 120, es), es)

    before, after = build_features(inputs, features=features), build_features(other, features=features)

    pd.testing.assert_frame_equal(before, after, rtol=0, atol=1e-7)


def test_technical_features_use_no_bar_after_the_last_whole_frame(
    bars: pd.DataFrame, inputs: FeatureInputs, es: Instrument
) -> None:
    # Regular hours are 6.5 hours: their last half hour is not a frame of 60 minutes.
    late = bars["timestamp"] >= inputs.closes[-1] - pd.Timedelta(minutes=30)
    other = FeatureInputs.from_bars(shifted(bars, late, 100, es), es)
    features = family_of("technical")

    before, after = (build_features(each, features=features).iloc[-1] for each in (inputs, other))

    same = {name for name in features if before[name] == after[name]}
    assert {name for name in features if name.endswith("_60m")} <= same
    assert {f"rsi_{frame}" for frame in ("5m", "15m", "30m", "session")}.isdisjoint(same)


def test_technical_features_of_frames_shorter_than_a_bar_are_missing(es: Instrument) -> None:
    rng = np.random.default_rng(2)
    sessions = []
    price = 12_000
    for _ in range(210):
        rows = []
        for _ in range(13):
            close = price + int(rng.integers(-9, 10))
            rows.append((price, max(price, close) + 2, min(price, close) - 2, close, 500))
            price = close
        sessions.append(rows)
    inputs = FeatureInputs.from_bars(bars_by_session(es, sessions, minutes=30), es)

    last = build_features(inputs, features=family_of("technical")).iloc[-1]

    assert {name.rsplit("_", 1)[1] for name in last.dropna().index} == {"session", "30m", "60m"}
    assert len(last.dropna()) == 60


@pytest.mark.parametrize("hours", ["rth", "eth"])
def test_technical_features_on_real_es_are_known_and_in_their_ranges(real_data, es: Instrument, hours) -> None:  # type: ignore[no-untyped-def]
    bars = pd.read_parquet(
        real_data / "es_5m_2015_2021.parquet", filters=[("timestamp", ">=", pd.Timestamp("2020-09-20", tz="UTC"))]
    )
    inputs = FeatureInputs.from_bars(bars, es, HistorySettings(hours=hours))
    features = family_of("technical")

    table = build_features(inputs, features=features)

    known = table.iloc[198:]
    assert known.notna().mean().min() > 0.98
    for name, bound in (("rsi", 50), ("stochastic_k", 50), ("mfi", 50), ("obv_change", 1), ("aroon_oscillator", 100)):
        for frame in FRAMES:
            assert known[f"{name}_{frame}"].abs().max() <= bound + 1e-9
    # ES moved 0.3 to 3 % a day then, and rose.
    assert known["average_true_range_session"].between(0.3, 3).all()
    assert known["macd_session"].mean() > 0
    assert truncation_differences(inputs, features, [250]) == set()
    assert raw_values(inputs, {"rsi_5m": features["rsi_5m"]}).shape == (len(table), 1)
