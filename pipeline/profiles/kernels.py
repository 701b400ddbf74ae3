"""The compiled loops, all in integers: volume by price, VPOC and value area, all sessions in one pass.

A bar's volume in steps times 2**20 is in micro-lots. Spread over n ticks, each gets ``micro // n`` and
the first ``micro % n`` from the low up get one more, so that nothing is lost and sums are the same in
any order, on any device. Spreading writes three entries of a difference array per bar, whatever the bar's
width; one running sum per session turns it into the profile.

Most bars are ordinary: they fit the scratch memory and have volumes whose division is exact in floating point. They
go block by block through loops that the compiler turns into vector code, each block checked before it is added. A
session with anything else goes another way, bar by bar, which also finds what is wrong with it.

They live in one file because numba's cache notices changes of the file a function stands in, not of those
it calls.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

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
_BLOCK_BARS = 1 << 10  # bars prepared at a time: 32 KiB
_LINE = 8  # int64 of a cache line
_SPARE = 1 << 20  # entries kept beyond a wide session's, for the next
_FAR = 1 << 62  # ticks beyond which a difference of two could wrap


@intrinsic
def _prefetch(_context, array, index):  # type: ignore[no-untyped-def]
    """Have an entry's cache line fetched, without waiting for it."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        byte = ir.PointerType(ir.IntType(8))
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        # For reading, to be kept in all caches, of the data.
        builder.call(function, [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, index), code


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


@njit(cache=True, nogil=True, error_model="numpy")
def _check_and_divide(low, high, steps, base, size, block):  # type: ignore[no-untyped-def]
    """Compute where a block of bars goes in the scratch array, and how much: written, not yet added.

    No branch and no store that depends on another bar, so that the compiler makes vector code of it. What it
    computes for a bar that breaks a limit is not meant to be used: the caller looks at what is returned first.

    Parameters
    ----------
    block
        int64, shape (4, bars or more), written: the bar's first entry, the one after those with one more, the one
        after its last; and ``micro // ticks``. A bar without volume has entry 0, which no other bar has.

    Returns
    -------
    (int64, int64, int64, int64, int64)
        Over bars with volume: first entry, last entry, fewest ticks; over all: union of the bits of the volumes,
        and their sum.
    """
    bottoms = block[0]
    rests = block[1]
    aboves = block[2]
    quotients = block[3]
    first = np.int64(size)
    last = np.int64(1)
    fewest = np.int64(1)
    bits = np.int64(0)
    total = np.int64(0)
    for i in range(low.size):
        volume = np.int64(steps[i])
        some = volume != 0
        bottom = np.int64(low[i]) - base if some else np.int64(0)
        above = np.int64(high[i]) - base + 1 if some else np.int64(1)
        ticks = above - bottom
        bits |= volume
        total += volume
        first = min(first, bottom if some else np.int64(size))
        last = max(last, above)
        fewest = min(fewest, ticks)
        micro = volume * MICRO_LOTS
        # Correctly rounded, a quotient of integers below 2**53 can't reach the next integer, so its whole
        # part is exact; and a float division costs a fraction of an integer one.
        each = np.int64(np.float64(micro) / np.float64(ticks))
        bottoms[i] = bottom
        rests[i] = bottom + (micro - each * ticks)
        aboves[i] = above
        quotients[i] = each
    return first, last, fewest, bits, total


@njit(cache=True, nogil=True)
def _add_block(block, bars, scratch, low, high, steps, ahead):  # type: ignore[no-untyped-def]
    """Add a checked block to the three difference arrays; meanwhile have the bars from ``ahead`` on fetched."""
    bottoms = block[0]
    rests = block[1]
    aboves = block[2]
    quotients = block[3]
    # Three arrays, because an addition that follows another at the same entry has to wait for it.
    opened = scratch[0]
    ended = scratch[1]
    closed = scratch[2]
    groups = bars // _LINE
    for group in range(groups):
        fetched = ahead + group * _LINE
        if fetched < steps.size:
            _prefetch(low, fetched)  # type: ignore[call-arg]
            _prefetch(high, fetched)
            _prefetch(steps, fetched)
        for i in range(group * _LINE, group * _LINE + _LINE):
            each = quotients[i]
            opened[np.uint64(bottoms[i])] += each + 1
            ended[np.uint64(rests[i])] += 1
            closed[np.uint64(aboves[i])] += each
    for i in range(groups * _LINE, bars):
        each = quotients[i]
        opened[np.uint64(bottoms[i])] += each + 1
        ended[np.uint64(rests[i])] += 1
        closed[np.uint64(aboves[i])] += each


@njit(cache=True, nogil=True)
def _spread_session(low, high, steps, start, stop, base, scratch, block):  # type: ignore[no-untyped-def]
    """Add a session's bars to the three difference arrays, block by block, each checked before it is added.

    Returns
    -------
    (int64, int64, int64, int64)
        First and last entry written, total steps, and STATUS_OUTSIDE where something is out of the ordinary (a bar
        beyond the scratch array, backward, negative or too large) and what was added has to be taken back.
    """
    size = scratch.shape[1]
    first = np.int64(size)
    last = np.int64(1)
    total = np.int64(0)
    # Blocks of one size, whole cache lines each: a short last one would leave its bars to be waited for.
    blocks = (stop - start + _BLOCK_BARS - 1) // _BLOCK_BARS
    most = ((stop - start + blocks - 1) // blocks + _LINE - 1) // _LINE * _LINE
    for begin in range(start, stop, most):
        end = min(begin + most, stop)
        bottom, above, fewest, bits, volume = _check_and_divide(
            low[begin:end], high[begin:end], steps[begin:end], base, size, block
        )
        # The union of the bits bounds every volume, and is negative if one is.
        if bottom < 1 or above >= size or fewest < 1 or bits < 0 or bits >= _EXACT_STEPS:
            return first, last, total, STATUS_OUTSIDE
        total += volume
        if total > MAX_STEPS:
            return first, last, total, STATUS_OUTSIDE
        first = min(first, bottom)
        last = max(last, above)
        _add_block(block, end - begin, scratch, low, high, steps, end)
    return first, last, total, STATUS_OK


@njit(cache=True, nogil=True)
def _spread_points(price, steps, start, stop, base, scratch):  # type: ignore[no-untyped-def]
    """Add volumes at one price each to the two arrays of ``scratch``, block by block, each checked before it is added.

    Returns
    -------
    (int64, int64, int64, int64)
        First and last entry written, total steps, and STATUS_OUTSIDE where a price doesn't fit or a volume is
        negative or too large, and what was added has to be taken back. Entry 0 takes what has no volume.
    """
    size = scratch.shape[1]
    # Two arrays, because an addition that follows another at the same entry has to wait for it.
    even = scratch[0]
    odd = scratch[1]
    first = np.int64(size)
    last = np.int64(0)
    total = np.int64(0)
    for begin in range(start, stop, _BLOCK_BARS):
        count = min(_BLOCK_BARS, stop - begin)
        prices = price[begin : begin + count]
        volumes = steps[begin : begin + count]
        lowest, highest, bits, volume = _check_points(prices, volumes, base, size)
        # The union of the bits bounds every volume, and is negative if one is: the sum of a block can't wrap.
        if lowest < 1 or highest >= size or bits < 0 or bits >= 2 * MAX_STEPS:
            return first, last, total, STATUS_OUTSIDE
        total += volume
        if total > MAX_STEPS:
            return first, last, total, STATUS_OUTSIDE
        first = min(first, lowest)
        last = max(last, highest)
        pairs = count // 2
        for pair in range(pairs):
            i = 2 * pair
            here = np.int64(volumes[i])
            entry = np.int64(prices[i]) - base if here != 0 else np.int64(0)
            even[np.uint64(entry)] += here
            here = np.int64(volumes[i + 1])
            entry = np.int64(prices[i + 1]) - base if here != 0 else np.int64(0)
            odd[np.uint64(entry)] += here
        if count % 2:
            here = np.int64(volumes[count - 1])
            entry = np.int64(prices[count - 1]) - base if here != 0 else np.int64(0)
            even[np.uint64(entry)] += here
    return first, last, total, STATUS_OK


@njit(cache=True, nogil=True)
def _check_points(price, steps, base, size):  # type: ignore[no-untyped-def]
    """First and last entry of a block's prices with volume, the union of the bits of the volumes, and their sum."""
    lowest = np.int64(size)
    highest = np.int64(0)
    bits = np.int64(0)
    total = np.int64(0)
    for i in range(price.size):
        volume = np.int64(steps[i])
        some = volume != 0
        entry = np.int64(price[i]) - base
        lowest = min(lowest, entry if some else np.int64(size))
        highest = max(highest, entry if some else np.int64(0))
        bits |= volume
        total += volume
    return lowest, highest, bits, total


@njit(cache=True, nogil=True)
def _clear(scratch, first, last):  # type: ignore[no-untyped-def]
    for row in range(scratch.shape[0]):
        entries = scratch[row]
        for i in range(first, last + 1):
            entries[i] = 0


@njit(cache=True, nogil=True)
def _volumes_of_bars(scratch, first, last):  # type: ignore[no-untyped-def]
    """Turn three difference arrays into volumes (in the first) and their sums (in the third); the largest volume."""
    rows = scratch[0]
    ended = scratch[1]
    sums = scratch[2]
    for i in range(first, last + 1):
        rows[i] -= ended[i] + sums[i]
    volume = np.int64(0)
    total = np.int64(0)
    most = np.int64(0)
    sums[first - 1] = 0
    for i in range(first, last + 1):
        volume += rows[i]
        rows[i] = volume
        total += volume
        sums[i] = total
        most = max(most, volume)
    return most


@njit(cache=True, nogil=True)
def _volumes_of_points(scratch, first, last):  # type: ignore[no-untyped-def]
    """Turn two arrays of steps into volumes (in the first) and their sums (in a third); the largest volume."""
    rows = scratch[0]
    odd = scratch[1]
    sums = scratch[2]
    total = np.int64(0)
    most = np.int64(0)
    sums[first - 1] = 0
    for i in range(first, last + 1):
        volume = (rows[i] + odd[i]) * MICRO_LOTS
        rows[i] = volume
        total += volume
        sums[i] = total
        most = max(most, volume)
    return most


@njit(cache=True, nogil=True)
def _levels(rows, sums, first, last, most, basis_points, expansion_rows):  # type: ignore[no-untyped-def]
    """VPOC, VAL, VAH and the volume held between, from volumes, their running sums and the largest of them.

    Without a branch that can't be foreseen. The target is the least volume that satisfies
    ``held * 10000 >= basis_points * total``, without the products, which don't fit 64 bits.
    """
    total = sums[last]
    ends = first + last
    vpoc = first
    while rows[vpoc] < most:
        vpoc += 1
    # Going up, an equal distance is never strictly nearer: the lower tick stays.
    for i in range(vpoc + 1, last + 1):
        if rows[i] == most and abs(2 * i - ends) < abs(2 * vpoc - ends):
            vpoc = i
    target = basis_points * (total // WHOLE) + (basis_points * (total % WHOLE) + WHOLE - 1) // WHOLE
    val = vpoc
    vah = vpoc
    held = most
    while held < target:
        up = min(vah + expansion_rows, last)
        down = max(val - expansion_rows, first)
        above = sums[up] - sums[vah] if up > vah else np.int64(-1)
        below = sums[val - 1] - sums[down - 1] if down < val else np.int64(-1)
        rises = above >= below
        vah = up if rises else vah
        val = val if rises else down
        held += above if rises else below
    return vpoc, val, vah, held


@njit(cache=True, nogil=True)
def find_value_area(rows, basis_points, expansion_rows):  # type: ignore[no-untyped-def]
    """Positions of VPOC, VAL and VAH in ``rows``, and the volume held between; at most 2**62 in all, above 0."""
    padded = np.zeros(rows.size + 1, np.int64)
    sums = np.zeros(rows.size + 1, np.int64)
    for i in range(rows.size):
        padded[i + 1] = rows[i]
        sums[i + 1] = sums[i] + rows[i]
    vpoc, val, vah, held = _levels(padded, sums, 1, rows.size, rows.max(), basis_points, expansion_rows)
    return vpoc - 1, val - 1, vah - 1, held


@njit(cache=True, nogil=True)
def profile_slices(low, high, steps, one_price, starts, stops, settings, levels):  # type: ignore[no-untyped-def]
    """Profile and value area of every slice of the bars.

    Parameters
    ----------
    low, high, steps
        Integers, shape (bars,).
    one_price
        Whether low and high are the same: trades, or bars with all volume on the close.
    starts, stops
        int64, shape (sessions,): session k is the bars ``starts[k]:stops[k]``.
    settings
        Basis points of the value area, rows it grows by, ticks in a row.
    levels
        int64, shape (sessions, 7), written: vpoc, val, vah, low, high (ticks), total, held (micro-lots);
        zeros where a session has no volume.

    Returns
    -------
    (int64, int64)
        The session that was refused and why; (−1, STATUS_OK) where none was.
    """
    scratch = np.zeros((3, _FIRST_SIZE), np.int64)
    block = np.empty((4, _BLOCK_BARS), np.int64)
    for k in range(starts.size):
        start = starts[k]
        stop = stops[k]
        levels[k, :] = 0
        if start == stop:
            continue
        first = np.int64(1)
        last = np.int64(0)
        total = np.int64(0)
        status = STATUS_OUTSIDE
        # Most sessions fit the scratch around their first price, which saves looking for their extent.
        base = np.int64(low[start]) - scratch.shape[1] // 2
        if -_FAR < low[start] < _FAR:
            if one_price:
                first, last, total, status = _spread_points(low, steps, start, stop, base, scratch)
            else:
                first, last, total, status = _spread_session(low, high, steps, start, stop, base, scratch, block)
        if status != STATUS_OK:
            _clear(scratch, first, last)
            total, status = total_steps(steps, start, stop)
            if status != STATUS_OK:
                return k, status
            lowest, highest, status = extent(low, high, steps, start, stop)
            if status != STATUS_OK:
                return k, status
            base = lowest - 1
            width = highest - base + 2
            if width > scratch.shape[1]:
                scratch = np.zeros((3, width + min(width, _SPARE)), np.int64)
            if one_price:
                first, last, total, status = _spread_points(low, steps, start, stop, base, scratch)
            else:
                first, last, status = spread(low, high, steps, start, stop, base, scratch[0])
        if total == 0:
            continue
        if one_price:
            most = _volumes_of_points(scratch, first, last)
        else:
            last -= 1
            most = _volumes_of_bars(scratch, first, last)
        _write_levels(levels[k], scratch[0], scratch[2], base, first, last, most, total, settings)
        _clear(scratch, first - 1, last + 1)
    return -1, STATUS_OK


@njit(cache=True, nogil=True)
def _write_levels(levels, rows, sums, base, first, last, most, total, settings):  # type: ignore[no-untyped-def]
    """Write a session's levels, from volumes by tick, their running sums and the largest of them."""
    basis_points, expansion_rows, ticks_per_row = settings
    levels[3] = base + first
    levels[4] = base + last
    levels[5] = total * MICRO_LOTS
    if ticks_per_row == 1:
        vpoc, val, vah, held = _levels(rows, sums, first, last, most, basis_points, expansion_rows)
        levels[0] = base + vpoc
        levels[1] = base + val
        levels[2] = base + vah
    else:
        lowest = (base + first) // ticks_per_row - first
        last, most = _into_rows(rows, sums, base, first, last, ticks_per_row)
        vpoc, val, vah, held = _levels(rows, sums, first, last, most, basis_points, expansion_rows)
        levels[0] = (lowest + vpoc) * ticks_per_row + (ticks_per_row - 1) // 2
        levels[1] = (lowest + val) * ticks_per_row
        levels[2] = (lowest + vah) * ticks_per_row + ticks_per_row - 1
    levels[6] = held


@njit(cache=True, nogil=True)
def _into_rows(rows, sums, base, first, last, ticks_per_row):  # type: ignore[no-untyped-def]
    """Sum ticks into rows, in place from ``first`` on; the last row's entry, and the largest volume.

    Rows are aligned to tick 0, so the lowest and the highest may hold fewer ticks.
    """
    lowest = (base + first) // ticks_per_row
    count = (base + last) // ticks_per_row - lowest + 1
    most = np.int64(0)
    for k in range(count):
        end = min((lowest + k + 1) * ticks_per_row - 1 - base, last)
        # A row's last tick lies at or above its entry, so it has not been written over yet.
        sums[first + k] = sums[end]
        volume = sums[first + k] - sums[first + k - 1]
        rows[first + k] = volume
        most = max(most, volume)
    return first + count - 1, most
