import numpy as np
import pytest

from pipeline.strategies import naked_vpoc_magnet
from pipeline.strategies.naked_vpoc_magnet import NakedVpocMagnet
from pipeline.strategy import NO_PRICE
from tests.strategies.market import calendar, made_history, seen_of, signals, told, walk

PLAIN = ["side", "type", "entry", "stop", "target", "near", "nearer", "rule_signal"]


def row(low: int, high: int, close: int, vpoc: int, **more):
    return {"open": close, "low": low, "high": high, "close": close, "vpoc": vpoc, **more}


# A VPOC at 16,000 left behind by a session that trades higher: naked below, 60 ticks from the close.
LEFT = row(15_990, 16_030, 16_020, 16_000)
UP = row(16_040, 16_080, 16_060, 16_070)


def found(*rows, **parameters):
    frame = signals(NakedVpocMagnet(parameters), seen_of(made_history(*rows)))
    return frame[frame["decided_on"] == calendar().index[len(rows) - 1]]


def test_naked_vpoc_below_the_close_is_the_target_of_a_short_at_the_open() -> None:
    frame = found(LEFT, UP)

    assert told(frame, *PLAIN) == [(-1, "market", None, 16_090, 16_000, True, True, True)]
    assert told(frame, "session", "stop_ticks", "target_ticks") == [(calendar().index[2], 30, 60)]


def test_naked_vpoc_above_the_close_is_the_target_of_a_long() -> None:
    frame = found(LEFT, row(15_920, 15_960, 15_940, 15_930))

    assert told(frame, *PLAIN) == [(1, "market", None, 15_910, 16_000, True, True, True)]


def test_last_sessions_own_vpoc_is_no_target() -> None:
    assert len(found(row(15_000, 16_060, 16_060, 15_000))) == 0


@pytest.mark.parametrize(("low", "high", "count"), [(16_001, 16_080, 1), (16_000, 16_080, 0), (15_900, 16_000, 0)])
def test_vpoc_touched_by_a_later_session_is_not_naked(low: int, high: int, count: int) -> None:
    rows = [LEFT, row(low, high, high, high), row(16_100, 16_140, 16_120, 16_130)]

    targets = {target for _, target in told(found(*rows, min_age=2), "side", "target")}

    assert (16_000 in targets) == (count == 1)


def test_nearest_of_several_is_taken_on_each_side() -> None:
    rows = [row(16_200, 16_220, 16_210, 16_210), row(16_100, 16_140, 16_120, 16_130), LEFT, UP]

    # Above: 16,210 and 16,130; below: 16,000, each from the close at 16,060.
    assert told(found(*rows), *PLAIN) == [
        (1, "market", None, 16_025, 16_130, True, False, False),
        (-1, "market", None, 16_090, 16_000, True, True, True),
    ]


def test_two_that_are_as_far_are_neither_nearer() -> None:
    rows = [row(16_100, 16_140, 16_120, 16_120), LEFT, UP]

    assert told(found(*rows), "side", "target_ticks", "nearer", "rule_signal") == [
        (1, 60, False, False),
        (-1, 60, False, False),
    ]


@pytest.mark.parametrize(("atr", "count"), [(240.0, 1), (241.0, 0)])
def test_vpoc_nearer_than_the_least_share_of_the_range_is_no_target(atr: float, count: int) -> None:
    assert len(found(LEFT, {**UP, "atr": atr})) == count


@pytest.mark.parametrize(
    ("atr", "near_range", "near"),
    [
        (60.0, 1.0, True),
        (59.9, 1.0, False),
        (59.0, 1.0, False),
        (200.0, 0.3, True),
        (199.9, 0.3, False),
        (54.6, 1.1, True),
    ],
)
def test_near_gate_opens_at_its_very_threshold(atr: float, near_range: float, near: bool) -> None:
    frame = found(LEFT, {**UP, "atr": atr}, near_range=near_range)

    assert frame["near"].tolist() == frame["rule_signal"].tolist() == [near]


@pytest.mark.parametrize(("min_age", "count"), [(1, 1), (2, 1), (3, 0)])
def test_vpoc_must_be_old_enough(min_age: int, count: int) -> None:
    assert len(found(LEFT, UP, {**UP, "vpoc": 16_060}, min_age=min_age)) == count


def test_nearest_vpoc_that_is_too_young_leaves_the_older_one() -> None:
    rows = [LEFT, row(16_010, 16_020, 16_015, 16_015), UP]

    assert told(found(*rows), "target") == [(16_015,)]
    assert told(found(*rows, min_age=2), "target") == [(16_000,)]


def test_roll_gives_up_every_vpoc() -> None:
    assert len(found(LEFT, {**UP, "contract": "M"})) == 0
    after = [LEFT, {**UP, "contract": "M"}, row(16_180, 16_220, 16_200, 16_210, contract="M")]
    assert told(found(*after, near_range=9), "target") == [(16_070,)]


def test_without_an_average_true_range_there_is_no_setup() -> None:
    assert len(found(LEFT, {**UP, "atr": np.nan})) == 0


def test_stop_is_a_share_of_the_way_rounded_up() -> None:
    assert told(found(LEFT, {**UP, "close": 16_061}), "stop", "target") == [(16_092, 16_000)]
    # 1.1 × 60 is 66 in ticks, a little more in floats.
    assert told(found(LEFT, UP, stop_share=1.1), "stop") == [(16_126,)]


def test_nearest_equals_a_slow_search_on_random_markets() -> None:
    for seed in range(20):
        history, _ = walk(np.random.default_rng(seed), 40)
        seen = seen_of(history)
        least = seen.range_ticks(0.1)
        min_age = 1 + seed % 3

        above, below = naked_vpoc_magnet._nearest(seen, least, min_age)

        vpoc, close, high, low = (seen.ticks(name) for name in ("vpoc", "close", "high", "low"))
        contract = history["contract"].tolist()
        for t in range(len(history)):
            naked = [
                vpoc[k]
                for k in range(t - min_age + 1)
                if contract[k : t + 1] == [contract[t]] * (t + 1 - k)
                and not any(low[j] <= vpoc[k] <= high[j] for j in range(k + 1, t + 1))
                and least[t] > 0
            ]
            assert above[t] == min([price for price in naked if price - close[t] >= least[t]], default=NO_PRICE)
            assert below[t] == max([price for price in naked if close[t] - price >= least[t]], default=NO_PRICE)
