"""Brackets, single prints, tails and poor extremes, by hand and against sets of brackets per price."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, DataError
from pipeline.profiles.auction import Prints, bracket_prints
from pipeline.profiles.rows import check_minutes

BARS = st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 9), st.integers(0, 1)), min_size=1, max_size=14)


def _prints(bars: list[tuple[int, int, int]]) -> Prints:
    return bracket_prints(*(np.array(column, np.int64) for column in zip(*bars, strict=True)))


def _arrays(drawn: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Low, high and bracket of bars drawn as low, height and whether a new bracket begins."""
    brackets = np.cumsum([new for *_, new in drawn]).tolist()
    return [(low, low + height, bracket) for (low, height, _), bracket in zip(drawn, brackets, strict=True)]


def _zones(prints: Prints) -> list[tuple[int, int, int]]:
    return list(zip(prints.zone_low.tolist(), prints.zone_high.tolist(), prints.zone_bracket.tolist(), strict=True))


def test_bracket_prints_three_brackets_by_hand() -> None:
    # 10-14 first, 12-20 second, 18-19 third: 15-17 were passed once; 10-11 is a buying tail, 20 a selling tail.
    prints = _prints([(10, 14, 0), (12, 20, 1), (18, 19, 2)])

    assert _zones(prints) == [(15, 17, 1)]
    assert (prints.buying_tail, prints.selling_tail, prints.poor_low, prints.poor_high) == (2, 1, False, False)


def test_bracket_prints_extremes_of_two_brackets_are_poor_and_have_no_tail() -> None:
    prints = _prints([(10, 14, 0), (10, 12, 1), (13, 14, 3)])

    assert (prints.buying_tail, prints.selling_tail, prints.poor_low, prints.poor_high) == (0, 0, True, True)
    assert _zones(prints) == []


def test_bracket_prints_two_bars_of_one_bracket_are_one_print() -> None:
    prints = _prints([(10, 12, 0), (10, 12, 0)])

    assert (prints.poor_low, prints.poor_high, prints.buying_tail, prints.selling_tail) == (False, False, 3, 3)
    assert _zones(prints) == []


def test_bracket_prints_price_touched_again_after_others_is_not_a_single_print() -> None:
    assert _zones(_prints([(1, 9, 0), (1, 3, 1), (7, 9, 2), (5, 5, 7)])) == [(4, 4, 0), (6, 6, 0)]


def test_bracket_prints_untraded_price_is_not_a_single_print_and_ends_a_tail() -> None:
    prints = _prints([(1, 2, 0), (4, 5, 0), (7, 9, 1), (7, 9, 2)])

    assert (prints.buying_tail, _zones(prints), prints.poor_high) == (2, [(4, 5, 0)], True)


def test_bracket_prints_neighbouring_prices_of_two_brackets_are_two_stretches() -> None:
    assert _zones(_prints([(1, 3, 0), (1, 3, 1), (4, 5, 2), (6, 8, 3), (9, 9, 4)])) == [(4, 5, 2), (6, 8, 3)]


def test_bracket_prints_impossible_range_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="session 2024-03-05 of ES: prices span more than"):
        bracket_prints(np.array([0]), np.array([1 << 24]), np.array([0]), "session 2024-03-05 of ES")


@pytest.mark.parametrize("minutes", [0, -30, 1441, 30.0, True, "30"])
def test_check_minutes_impossible_length_is_refused(minutes: object) -> None:
    with pytest.raises(ConfigurationError, match="tpo_minutes is"):
        check_minutes("tpo_minutes", minutes)  # type: ignore[arg-type]


@settings(deadline=None)
@given(BARS)
def test_bracket_prints_any_bars_equal_sets_of_brackets_per_price(drawn: list[tuple[int, int, int]]) -> None:
    bars = _arrays(drawn)

    prints = _prints(bars)

    bottom, top = min(low for low, *_ in bars), max(high for _, high, _ in bars)
    touched = [{b for low, high, b in bars if low <= tick <= high} for tick in range(bottom, top + 1)]
    stretches: list[list[int]] = []
    for place, brackets in enumerate(touched):
        if len(brackets) == 1:
            if place and touched[place - 1] == brackets:
                stretches[-1][1] = place
            else:
                stretches.append([place, place])
    last = len(touched) - 1
    inner = [(bottom + a, bottom + b, *touched[a]) for a, b in stretches if a > 0 and b < last]
    assert _zones(prints) == inner
    assert prints.buying_tail == sum(b + 1 for a, b in stretches if a == 0)
    assert prints.selling_tail == sum(b - a + 1 for a, b in stretches if b == last)
    assert (prints.poor_low, prints.poor_high) == (len(touched[0]) >= 2, len(touched[-1]) >= 2)


@settings(deadline=None)
@given(BARS, st.integers(-(2**40), 2**40))
def test_bracket_prints_mirrored_and_shifted_bars_swap_the_ends(drawn: list[tuple[int, int, int]], shift: int) -> None:
    bars = _arrays(drawn)

    plain, mirror = _prints(bars), _prints([(shift - high, shift - low, b) for low, high, b in bars])

    assert _zones(mirror) == [(shift - high, shift - low, b) for low, high, b in _zones(plain)][::-1]
    assert (mirror.buying_tail, mirror.poor_low) == (plain.selling_tail, plain.poor_high)
    assert (mirror.selling_tail, mirror.poor_high) == (plain.buying_tail, plain.poor_low)
