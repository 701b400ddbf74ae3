import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ConfigurationError
from pipeline.learning import barrier_labels
from pipeline.learning.barriers import BARRIERS
from pipeline.market import Instrument, label_sessions, simulate_market
from tests.backtest.frames import days, session_bars
from tests.learning.test_labels import at

B = 16_000
MINUTES = pd.Timedelta("5min")


def closes(moves: list[int], **more: object) -> pd.DataFrame:
    """Bars that open at the close before and go straight to their own."""
    close = B + np.cumsum(moves)
    open_ = np.append(B, close[:-1])
    rows = list(zip(open_, np.maximum(open_, close), np.minimum(open_, close), close, strict=True))
    return session_bars([tuple(int(tick) for tick in row) for row in rows], **more)


def test_barrier_labels_widths_are_the_deviation_of_the_last_changes(es: Instrument) -> None:
    # Changes +2, −2: mean 0, variance 8, σ 2.83 ticks; over 4 bars 5.66, up to 6.
    labels = barrier_labels(closes([0, 2, -2, 0, 0, 0, 0, 0]), es, horizon=4, up=1, down=2, volatility_window=2)

    assert labels["up_ticks"].tolist()[:3] == pytest.approx([np.nan, np.nan, 6.0], nan_ok=True)
    assert labels["down_ticks"].tolist()[:3] == pytest.approx([np.nan, np.nan, 12.0], nan_ok=True)
    assert labels["barrier"].tolist()[:2] == ["", ""]
    assert labels["label"].isna().tolist()[:2] == [True, True]


def test_barrier_labels_buy_sell_and_hold_with_their_ends(es: Instrument) -> None:
    # σ at 08:40 is 2.83: with a horizon of 2, a width of 4 ticks.
    up = barrier_labels(closes([0, 2, -2, 1, 3, 0, 0]), es, horizon=2, volatility_window=2).loc[at("08:40")]
    down = barrier_labels(closes([0, 2, -2, -9, 3, 0, 0]), es, horizon=2, volatility_window=2).loc[at("08:40")]
    hold = barrier_labels(closes([0, 2, -2, 1, 1, 0, 0]), es, horizon=2, volatility_window=2).loc[at("08:40")]

    names = ["start", "end", "label", "barrier", "up_ticks", "move_ticks"]
    assert up[names].tolist() == [at("08:45"), at("08:55"), 1.0, "up", 4.0, 4.0]
    assert down[names].tolist() == [at("08:45"), at("08:50"), -1.0, "down", 4.0, -4.0]
    assert hold[names].tolist() == [at("08:45"), at("08:55"), 0.0, "horizon", 4.0, 2.0]


def test_barrier_labels_open_beyond_a_barrier_decides_and_a_bar_with_both_does_not(es: Instrument) -> None:
    start = [(B, B, B, B), (B, B + 2, B, B + 2), (B + 2, B + 2, B, B)]
    quiet = [(B, B, B, B)] * 3

    gap = session_bars([*start, (B + 7, B + 8, B - 20, B), *quiet])
    wide = session_bars([*start, (B, B + 8, B - 20, B), *quiet])

    first = barrier_labels(gap, es, horizon=2, volatility_window=2).loc[at("08:40")]
    second = barrier_labels(wide, es, horizon=2, volatility_window=2).loc[at("08:40")]
    assert first[["label", "barrier", "move_ticks"]].tolist() == [1.0, "up", 7.0]
    assert second[["label", "barrier", "end"]].tolist() == [0.0, "both", at("08:50")]
    assert np.isnan(second["move_ticks"])


def test_barrier_labels_end_with_the_session_and_with_the_contract(es: Instrument) -> None:
    moves = [0, 2, -2, *[1, -1] * 37, 1]
    two_days = days(closes(moves, contract="A"), closes(moves[:40], day="2021-03-17", contract="A"))
    rolled = days(closes(moves[:40], contract="A"), closes(moves[:38], start="11:50", contract="B"))

    session = barrier_labels(two_days, es, horizon=12, up=9, down=9, volatility_window=20).loc[at("14:30")]
    last = barrier_labels(two_days, es, horizon=12, up=9, down=9, volatility_window=20).loc[at("14:55")]
    contract = barrier_labels(rolled, es, horizon=12, up=9, down=9, volatility_window=20).loc[at("11:30")]

    assert session[["barrier", "end", "label"]].tolist() == ["session_end", at("15:00"), 0.0]
    assert last[["barrier", "end"]].tolist() == ["", pd.NaT]
    assert contract[["barrier", "end", "label"]].tolist() == ["contract_end", at("11:55"), 0.0]


def _oracle(bars: pd.DataFrame, es: Instrument, horizon: int, up: float, down: float, window: int) -> list[tuple]:
    """Bar by bar: barrier and the bar that met it."""
    session = label_sessions(bars["timestamp"], es)
    kept = bars[session.mask("rth")].assign(session=session.sessions[session.mask("rth")]).reset_index(drop=True)
    ticks = {name: es.to_ticks(kept[name]).tolist() for name in ("open", "high", "low", "close")}
    life = list(zip(kept["session"], kept["contract"], strict=True))
    found, changes = [], []
    for i in range(len(kept)):
        if i and life[i] == life[i - 1]:
            changes.append(ticks["close"][i] - ticks["close"][i - 1])
        sigma = np.std(changes[-window:], ddof=1) if len(changes) >= window else np.nan
        if not sigma > 0:
            found.append(("", i))
            continue
        above = ticks["close"][i] + int(np.ceil(up * sigma * horizon**0.5 - 1e-9))
        below = ticks["close"][i] - int(np.ceil(down * sigma * horizon**0.5 - 1e-9))
        answer = None
        for j in range(i + 1, i + horizon + 1):
            if j == len(kept) or life[j] != life[i]:
                changed = j < len(kept) and life[j][0] == life[i][0]
                answer = ("contract_end" if changed else "session_end", j - 1) if j > i + 1 else ("", i)
                break
            high, low, opened = ticks["high"][j], ticks["low"][j], ticks["open"][j]
            if opened >= above or (high >= above and not low <= below):
                answer = ("up", j)
            elif opened <= below or (low <= below and not high >= above):
                answer = ("down", j)
            elif high >= above:
                answer = ("both", j)
            if answer:
                break
        found.append(answer or ("horizon", i + horizon))
    return found


@pytest.mark.parametrize(("horizon", "up", "down", "window"), [(12, 1.0, 1.0, 78), (5, 0.4, 0.9, 20), (1, 0.7, 0.7, 2)])
def test_barrier_labels_agree_with_the_oracle_and_are_known_at_their_end(
    es: Instrument, horizon: int, up: float, down: float, window: int
) -> None:
    bars = simulate_market(es, "2021-02-22", sessions=14, seed=9)  # the roll of March within
    settings = {"horizon": horizon, "up": up, "down": down, "volatility_window": window}

    labels = barrier_labels(bars, es, **settings)

    expected = _oracle(bars, es, horizon, up, down, window)
    assert labels["barrier"].tolist() == [barrier for barrier, _ in expected]
    by_bar = labels["barrier"].isin(["up", "down", "both", "horizon"]).to_numpy()
    ends = labels.index[[bar for _, bar in expected]] + MINUTES
    assert (labels["end"].to_numpy()[by_bar] == ends.to_numpy()[by_bar]).all()
    for instant in labels["end"].dropna().iloc[[100, 333, 500, 777]]:
        for moment in (instant, instant - pd.Timedelta("1ns"), instant + MINUTES):
            cut = bars[bars["timestamp"] + MINUTES <= moment].reset_index(drop=True)
            then = barrier_labels(cut, es, **settings, known_until=moment)
            full = labels.loc[then.index]
            known = (full["end"] <= moment).to_numpy()
            pd.testing.assert_frame_equal(then[known], full[known], check_exact=True, check_freq=False)
            assert (then.loc[~known, "barrier"] == "").all()
            assert then.loc[~known, ["end", "label", "move_ticks"]].isna().all(axis=None)
            assert then["up_ticks"].equals(full["up_ticks"])


def test_barrier_labels_do_not_depend_on_where_the_bars_begin(es: Instrument) -> None:
    bars = simulate_market(es, "2021-02-22", sessions=6, seed=9)
    late = bars[bars["timestamp"] >= pd.Timestamp("2021-02-23 14:30Z")].reset_index(drop=True)

    whole, part = barrier_labels(bars, es), barrier_labels(late, es)

    assert whole.loc[part.index[80:]].equals(part.iloc[80:])


def test_barrier_labels_names_and_times_are_in_order(es: Instrument) -> None:
    labels = barrier_labels(simulate_market(es, "2021-02-22", sessions=6, seed=9), es)

    assert set(labels["barrier"]) <= set(BARRIERS)
    known = labels.dropna(subset="end")
    assert (known["start"] < known["end"]).all()
    assert (labels["start"] - labels.index == MINUTES).all()
    assert barrier_labels(closes([0, 1]).assign(timestamp=lambda f: f["timestamp"] + pd.Timedelta("10h")), es).empty


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 0}, "horizon is 0; give a whole number, 1 or more"),
        ({"volatility_window": 1}, "volatility_window is 1; give a whole number, 2 or more"),
        ({"up": 0.0}, "up is 0.0; give a width in standard deviations, above zero"),
        ({"down": float("inf")}, "down is inf; give a width in standard deviations, above zero"),
    ],
)
def test_barrier_labels_impossible_setting_is_one_sentence(es: Instrument, change: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        barrier_labels(closes([0, 1, 2]), es, **change)
