"""The compiled loops, all in integers: volume by price, VPOC and value area, all sessions in one pass.

A bar's volume in steps times 2**20 is in micro-lots. Spread over n ticks, each gets ``micro // n`` and
the first ``micro % n`` from the low up get one more, so that nothing is lost and sums are the same in
any order, on any device. Spreading writes three entries of a difference array a bar, whatever the bar's
width; one running sum a session turns it into the profile.

They live in one file because numba's cache notices changes of the file a function stands in, not of those
it calls.
"""

import numpy as np
from numba import njit

__all__ = [
    "MAX_STEPS",
    "MAX_TICKS",
    "MICRO_LOTS",
    "STATUS_BACKWARD",
    "STATUS_NEGATIVE",
    "STATUS_OK",
    "STATUS_OUTSIDE",
    "STATUS_TOO_MUCH",
    "STATUS_TOO_WIDE",
    "WHOLE",
    "extent",
    "find_value_area",
    "integrate",
    "profile_slices",
    "spread",
    "total_steps",
]

MICRO_LOTS = 1 << 20  # of one volume step
MAX_STEPS = 1 << 42  # of one profile: 2**62 micro-lots
MAX_TICKS = 1 << 24  # of one profile: beyond it one of the prices is wrong
WHOLE = 10_000  # basis points

STATUS_OK = 0
STATUS_OUTSIDE = 1  # a bar doesn't fit the scratch array
STATUS_TOO_MUCH = 2
STATUS_TOO_WIDE = 3
STATUS_BACKWARD = 4  # a high below its low
STATUS_NEGATIVE = 5

_EXACT_STEPS = 1 << 33  # below it, micro-lots are below 2**53 and a float holds them exactly
_BLOCK = 1 << 20
_FIRST_SIZE = 1 << 13  # 64 KiB: 8,192 ticks


@njit(cache=True, nogil=True)
def total_steps(steps, start, stop):  # type: ignore[no-untyped-def]
    """Sum of ``steps[start:stop]`` and a status; never wraps.

    Returns
    -------
    (int64, int64)
        The sum, meaningful only with STATUS_OK; STATUS_TOO_MUCH past ``MAX_STEPS``, STATUS_NEGATIVE.
    """
    total = np.int64(0)
    for first in range(start, stop, _BLOCK):
        last = min(first + _BLOCK, stop)
        block = np.int64(0)
        bits = np.int64(0)
        for i in range(first, last):
            block += steps[i]
            bits |= steps[i]
        # The union of the bits bounds every value, so this loop needs no comparison a bar.
        if bits < 0:
            return total, STATUS_NEGATIVE
        if bits >= MAX_STEPS:
            block = np.int64(0)
            for i in range(first, last):
                if steps[i] > MAX_STEPS:
                    return total, STATUS_TOO_MUCH
                block += steps[i]
                if block > MAX_STEPS:
                    return total, STATUS_TOO_MUCH
        total += block
        if total > MAX_STEPS:
            return total, STATUS_TOO_MUCH
    return total, STATUS_OK


@njit(cache=True, nogil=True)
def extent(low, high, steps, start, stop):  # type: ignore[no-untyped-def]
    """Lowest and highest tick of the bars with volume in ``start:stop``, and a status.

    Returns
    -------
    (int64, int64, int64)
        Lowest tick, highest tick (below the lowest where no bar has volume), status.
    """
    lowest = np.int64(0)
    highest = np.int64(-1)
    empty = True
    for i in range(start, stop):
        if steps[i] == 0:
            continue
        bottom = np.int64(low[i])
        top = np.int64(high[i])
        if top < bottom:
            return lowest, highest, STATUS_BACKWARD
        if empty:
            lowest, highest, empty = bottom, top, False
        lowest = min(lowest, bottom)
        highest = max(highest, top)
    # A difference beyond int64 wraps to a negative one.
    width = highest - lowest
    if not empty and (width < 0 or width >= MAX_TICKS):
        return lowest, highest, STATUS_TOO_WIDE
    return lowest, highest, STATUS_OK


@njit(cache=True, nogil=True)
def spread(low, high, steps, start, stop, base, scratch):  # type: ignore[no-untyped-def]
    """Add the bars ``start:stop`` to a difference array.

    Parameters
    ----------
    low, high, steps
        Integers, shape (bars,): ticks and volume steps, checked by :func:`total_steps`.
    base
        The tick of ``scratch[0]``.
    scratch
        int64, shape (size,), zero where not yet written.

    Returns
    -------
    (int64, int64, int64)
        First and last entry written (first beyond last where no bar has volume), and STATUS_OUTSIDE
        where a bar doesn't fit or is backward; what was written until then is between the two.
    """
    size = scratch.size
    first = np.int64(size)
    last = np.int64(-1)
    for i in range(start, stop):
        volume = np.int64(steps[i])
        if volume == 0:
            continue
        bottom = np.int64(low[i]) - base
        above = np.int64(high[i]) - base + 1
        # As unsigned numbers negative ones are large: this is 0 <= bottom < above < size.
        if not (np.uint64(bottom) < np.uint64(above) < np.uint64(size)):
            return first, last, STATUS_OUTSIDE
        first = min(first, bottom)
        last = max(last, above)
        ticks = above - bottom
        micro = volume * MICRO_LOTS
        # Correctly rounded, a quotient of integers below 2**53 can't reach the next integer, so its whole
        # part is exact; and a float division costs a fraction of an integer one.
        exact = volume < _EXACT_STEPS
        each = np.int64(np.float64(micro) / np.float64(ticks)) if exact else micro // ticks
        rest = micro - each * ticks
        scratch[np.uint64(bottom)] += each + 1
        scratch[np.uint64(bottom + rest)] -= 1
        scratch[np.uint64(above)] -= each
    return first, last, STATUS_OK


@njit(cache=True, nogil=True)
def integrate(scratch, first, last):  # type: ignore[no-untyped-def]
    """Turn the difference array between two entries into volumes, in place."""
    held = np.int64(0)
    for i in range(first, last + 1):
        held += scratch[i]
        scratch[i] = held


@njit(cache=True, nogil=True)
def find_value_area(rows, first, last, total, basis_points, expansion_rows):  # type: ignore[no-untyped-def]
    """Positions of VPOC, VAL and VAH in ``rows[first:last + 1]``, and the volume held between.

    ``total`` is the sum of that slice, above 0 and at most 2**62.
    """
    vpoc = first
    most = rows[first]
    ends = first + last
    for i in range(first + 1, last + 1):
        volume = rows[i]
        # Going up, an equal distance is never strictly nearer: the lower tick stays.
        if volume > most or (volume == most and abs(2 * i - ends) < abs(2 * vpoc - ends)):
            most = volume
            vpoc = i
    # The least volume that satisfies held * 10000 >= basis_points * total, without the products,
    # which don't fit 64 bits: split total in quotient and remainder by 10000.
    target = basis_points * (total // WHOLE) + (basis_points * (total % WHOLE) + WHOLE - 1) // WHOLE
    val = vpoc
    vah = vpoc
    held = most
    while held < target:
        above = np.int64(-1)
        up = min(vah + expansion_rows, last)
        if up > vah:
            above = np.int64(0)
            for i in range(vah + 1, up + 1):
                above += rows[i]
        below = np.int64(-1)
        down = max(val - expansion_rows, first)
        if down < val:
            below = np.int64(0)
            for i in range(down, val):
                below += rows[i]
        if above >= below:
            vah = up
            held += above
        else:
            val = down
            held += below
    return vpoc, val, vah, held


@njit(cache=True, nogil=True)
def profile_slices(low, high, steps, starts, stops, basis_points, expansion_rows, levels):  # type: ignore[no-untyped-def]
    """Profile and value area of every slice of the bars.

    Parameters
    ----------
    low, high, steps
        Integers, shape (bars,).
    starts, stops
        int64, shape (sessions,): session k is the bars ``starts[k]:stops[k]``.
    levels
        int64, shape (sessions, 7), written: vpoc, val, vah, low, high (ticks), total, held (micro-lots);
        zeros where a session has no volume.

    Returns
    -------
    (int64, int64)
        The session that was refused and why; (−1, STATUS_OK) where none was.
    """
    scratch = np.zeros(_FIRST_SIZE, np.int64)
    for k in range(starts.size):
        start = starts[k]
        stop = stops[k]
        levels[k, :] = 0
        total, status = total_steps(steps, start, stop)
        if status != STATUS_OK:
            return k, status
        if total == 0:
            continue
        # Most sessions fit the scratch around their first price, which saves looking for their extent.
        base = np.int64(low[start]) - scratch.size // 2
        first, last, status = spread(low, high, steps, start, stop, base, scratch)
        if status != STATUS_OK:
            for i in range(first, last + 1):
                scratch[i] = 0
            lowest, highest, status = extent(low, high, steps, start, stop)
            if status != STATUS_OK:
                return k, status
            width = highest - lowest + 2
            if width > scratch.size:
                scratch = np.zeros(2 * width, np.int64)
            base = lowest
            first, last, status = spread(low, high, steps, start, stop, base, scratch)
        last -= 1
        integrate(scratch, first, last)
        micro = total * MICRO_LOTS
        vpoc, val, vah, held = find_value_area(scratch, first, last, micro, basis_points, expansion_rows)
        levels[k, 0] = base + vpoc
        levels[k, 1] = base + val
        levels[k, 2] = base + vah
        levels[k, 3] = base + first
        levels[k, 4] = base + last
        levels[k, 5] = micro
        levels[k, 6] = held
        for i in range(first, last + 2):
            scratch[i] = 0
    return -1, STATUS_OK
