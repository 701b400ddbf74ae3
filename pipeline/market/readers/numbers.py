"""Numbers as people write them: which mark is the decimal one, and which stands between thousands.

``1.029`` is 1,029 in Germany and 1.029 in America. What the column and its neighbours show decides; where they show
nothing, the user is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.readers.options import to_set
from pipeline.market.readers.table import Table, is_text

__all__ = ["NumberStyle", "number_styles", "read_numbers"]

COUNTS = frozenset({"volume", "num_trades", "bid_volume", "ask_volume"})

_SPACES = r"[ \x{00a0}\x{2009}\x{202f}'\x{2019}]"  # France, Switzerland: never a decimal mark
_CURRENCY = r"^([+-]?)[$€£¥]\s*"
_NUMBER = r"(?i)^[+-]?(\d+\.?\d*(e[+-]?\d+)?|\.\d+(e[+-]?\d+)?|inf|infinity|nan)$"
# Groups of three digits, or as in India (1,02,900), with the thousands' mark T and the decimal mark D.
_GROUPED = r"^[+-]?(\d{1,3}(T\d{3})+|\d{1,2}(T\d{2})*T\d{3})(D\d*)?$"
_SAMPLE = 1_000
_FEW = 0.05  # of fractions of a thousandth, one in a thousand is whole


@dataclass(frozen=True)
class NumberStyle:
    """Number format of a column.

    Attributes
    ----------
    decimal
        ``.`` or ``,``; empty where no number has a fraction.
    thousands
        The other of them where it stands between thousands, else empty.
    """

    decimal: str = ""
    thousands: str = ""

    @property
    def mark(self) -> str:
        """The decimal mark that a number would have."""
        return self.decimal or ("," if self.thousands == "." else ".")

    def describe(self, column: str) -> str:
        """Describe the format in words; empty for plain numbers."""
        if self.thousands:
            return f"{self.thousands!r} stands between the thousands of {column}"
        return f"decimal commas in {column}" if self.decimal == "," else ""


NO_MARKS = NumberStyle()


@dataclass(frozen=True)
class _Marks:
    """Evidence in the numbers about one mark.

    Attributes
    ----------
    any
        Some have it.
    as_thousands
        Each use of it could stand between thousands.
    repeated
        It comes twice in a number.
    beside_small
        Whole numbers without it, zeros apart, are all below 1,000, and there are more of them than fractions would
        have; or one with it ends in a zero, which a fraction beside whole numbers would have dropped.
    beside_large
        Some whole numbers without it are above.
    """

    any: bool = False
    as_thousands: bool = False
    repeated: bool = False
    beside_small: bool = False
    beside_large: bool = False


def number_styles(table: Table, columns: Mapping[str, str], decimal: str | None) -> dict[str, NumberStyle]:
    """The style of each text column of numbers.

    Parameters
    ----------
    table
        The file.
    columns
        Our name of a column to the file's. Prices share a style; volumes and counts have their own, since programs
        write whole numbers by other rules.
    decimal
        The mark that the user or the format names, if any.

    Raises
    ------
    DataError
        For a column whose marks can be understood in two ways, or not in the way that is named.
    """
    texts = {ours: _bare(table.texts(theirs)) for ours, theirs in columns.items() if _holds_text(table, theirs)}
    prices = [ours for ours in texts if not _is_count(ours)]
    styles: dict[str, NumberStyle] = {}
    open_counts = []
    for ours in texts:
        if _is_count(ours):
            style = _shown_style([texts[ours]], _named(table, columns[ours]), counts=True)
            if decimal is not None and (style is None or style.thousands == decimal):
                shows = style is not None and _prices_differ([texts[each] for each in prices], decimal)
                style = _as_named(decimal, _named(table, columns[ours]), texts[ours], refused=shows)
            elif decimal is not None and style is not None and style.decimal not in ("", decimal):
                style = NumberStyle(decimal)  # what doesn't fit is named when it is read
            if style is None:
                open_counts.append(ours)
            else:
                styles[ours] = style
    of_counts = next((style.thousands for style in styles.values() if style.thousands), "")
    of_prices = NumberStyle(decimal) if decimal is not None else NO_MARKS
    if prices and decimal is None:
        shown = _shown_style([texts[ours] for ours in prices], _named(table, columns[prices[0]]), counts=False)
        of_prices = shown or _price_style(_named(table, columns[prices[0]]), texts[prices[0]], of_counts)
    for ours in open_counts:
        styles[ours] = _count_style(_named(table, columns[ours]), texts[ours], of_prices, of_counts)
    return {**dict.fromkeys(prices, of_prices), **styles}


def read_numbers(table: Table, column: str, style: NumberStyle = NO_MARKS) -> NDArray[np.float64]:
    """A column as float64; NaN where a cell is empty.

    Raises
    ------
    DataError
        For a cell that is neither a number in this style nor empty; for a column of something else.
    """
    if not _holds_text(table, column):
        return table.numbers(column)
    texts = table.texts(column)
    if style.mark == "." and not style.thousands:
        try:
            return _floats(texts)
        except pa.ArrowInvalid:
            pass  # a comma, a sign, a dot at the end, or no number at all: found below
    plain = _bare(texts)
    other = "," if style.mark == "." else "."
    plain = _without(plain, f"[{other}]", _grouped(other, style.mark))
    if style.mark == ",":
        plain = pc.replace_substring(pc.replace_substring(plain, ".", "?"), ",", ".")
    plain = pc.replace_substring_regex(plain, r"^([+-]?\d+)\.$", r"\1")
    try:
        return _floats(plain)
    except pa.ArrowInvalid as error:
        row = pc.index(pc.invert(pc.match_substring_regex(plain, _NUMBER)).fill_null(False), True).as_py()
        if row < 0:
            raise DataError(f"{_named(table, column)} can't be read as numbers: {error}") from error
        what = "is not a number" + (" with a decimal comma" if style.mark == "," else "")
        raise DataError(
            f"{table.where(row, column)}: {table.cell(row, column)[:60]!r} {what}; "
            "fix the line, or leave the cell empty to have the row quarantined"
        ) from error


def _is_count(ours: str) -> bool:
    return ours.partition(" ")[0] in COUNTS  # the parts of a volume are "volume 1", "volume 2"


def _holds_text(table: Table, column: str) -> bool:
    return is_text(table.columns[column].type)


def _floats(texts: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(texts.cast(pa.float64()).fill_null(float("nan")).to_numpy(), dtype=np.float64)


def _bare(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without currency signs, and without spaces and apostrophes between thousands."""
    if not pc.any(pc.match_substring_regex(texts, rf"[$€£¥]|{_SPACES}")).as_py():
        return texts
    texts = pc.replace_substring_regex(texts, _CURRENCY, r"\1")
    return _without(texts, _SPACES, _grouped(_SPACES[1:-1], ".,"))


def _without(texts: pa.ChunkedArray, mark: str, where: str) -> pa.ChunkedArray:
    fits = pc.match_substring_regex(texts, where)
    return pc.if_else(fits, pc.replace_substring_regex(texts, mark, ""), texts) if pc.any(fits).as_py() else texts


def _grouped(thousands: str, decimal: str) -> str:
    return _GROUPED.replace("T", f"[{thousands}]").replace("D", f"[{decimal}]")


def _shown_style(columns: Sequence[pa.ChunkedArray], name: str, *, counts: bool) -> NumberStyle | None:
    """The style that the numbers themselves show; None where they can be understood in two ways."""
    texts = pa.chunked_array([chunk for each in columns for chunk in each.chunks], pa.string()).drop_null()
    dots, commas = _marks(texts, ".", ","), _marks(texts, ",", ".")
    if dots.any and commas.any:
        if commas.as_thousands != dots.as_thousands:
            return NumberStyle(".", ",") if commas.as_thousands else NumberStyle(",", ".")
        raise DataError(
            f"{name} has numbers with commas and numbers with dots, and neither is clearly the decimal mark; "
            "write all of them in one way"
        )
    mark, seen = (".", dots) if dots.any else (",", commas)
    if not seen.any:
        return NO_MARKS
    if not seen.as_thousands or seen.beside_large:
        return NumberStyle(mark)
    if seen.repeated or (counts and seen.beside_small):
        return NumberStyle("", mark)
    return None


def _marks(texts: pa.ChunkedArray, mark: str, other: str) -> _Marks:
    using = texts.filter(pc.match_substring(texts, mark))
    if len(using) == 0:
        return _Marks()
    # As _GROUPED, but that no number of thousands begins with a zero.
    grouped = rf"^[+-]?([1-9]\d{{0,2}}([{mark}]\d{{3}})+|[1-9]\d?([{mark}]\d{{2}})*[{mark}]\d{{3}})([{other}]\d*)?$"
    for part in (using.slice(0, _SAMPLE), using):
        if not pc.all(pc.match_substring_regex(part, grouped)).as_py():
            return _Marks(any=True)
    whole = texts.filter(pc.match_substring_regex(texts, r"^[+-]?0*[1-9]\d*$"))  # 0 is written so beside fractions too
    longest = pc.max(pc.utf8_length(pc.utf8_ltrim(whole, "+-"))).as_py() or 0
    return _Marks(
        any=True,
        as_thousands=True,
        repeated=_any(using, rf"[{mark}].*[{mark}]"),
        beside_small=0 < longest < 4 and (len(whole) >= _FEW * len(texts) or _any(using, r"0$")),
        beside_large=longest > 3,
    )


def _any(texts: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())


def _price_style(name: str, texts: pa.ChunkedArray, of_counts: str) -> NumberStyle:
    """The style of prices that each could be thousands: as the volumes write theirs, if they show it."""
    mark = "." if pc.any(pc.match_substring(texts, ".")).as_py() else ","
    if of_counts:
        return NumberStyle("", mark) if of_counts == mark else NumberStyle(mark)
    if mark == ".":
        return NumberStyle(".")
    raise _two_readings(name, texts, mark)


def _count_style(name: str, texts: pa.ChunkedArray, of_prices: NumberStyle, of_counts: str) -> NumberStyle:
    """The style of volumes that each could be thousands: as other counts or the prices write theirs."""
    mark = "." if pc.any(pc.match_substring(texts, ".")).as_py() else ","
    if mark == of_counts or mark == of_prices.thousands or (of_prices.decimal and of_prices.decimal != mark):
        return NumberStyle("", mark)
    raise _two_readings(name, texts, mark, in_prices=of_prices.decimal == mark)


def _prices_differ(prices: Sequence[pa.ChunkedArray], decimal: str) -> bool:
    """Return True if a price has the other mark and not this one, so that this can't be its decimal mark."""
    other = "," if decimal == "." else "."
    return any(_any(each, rf"^[^{decimal}]*[{other}](\d{{0,2}}|\d{{4,}})$") for each in prices)


def _as_named(decimal: str, name: str, texts: pa.ChunkedArray, *, refused: bool) -> NumberStyle:
    """The named style for volumes that could be thousands with the same mark, unless the prices belie it."""
    if not refused:
        return NumberStyle(decimal)
    raise DataError(
        f"{name}: {_written(texts, decimal)!r} would be a fraction with the decimal mark {decimal!r}, while other "
        "numbers there are whole and below 1,000 and the prices have another decimal mark, so the mark stands between "
        "thousands; leave decimal out"
    )


def _two_readings(name: str, texts: pa.ChunkedArray, mark: str, *, in_prices: bool = False) -> DataError:
    """Ask which of two numbers is meant; ``in_prices`` the mark is plainly the decimal one."""
    written = _written(texts, mark)
    whole, fraction = f"{int(written.replace(mark, '')):,}", written.replace(mark, ".")
    if in_prices:
        remedy = f"write it without the mark for the first, or {to_set('decimal', repr(mark))} for the second"
    else:
        other = repr("," if mark == "." else ".")
        remedy = f"{to_set('decimal', other)} for the first, or to {mark!r} for the second"
    return DataError(f"{name}: {written!r} can be {whole} or {fraction}; {remedy}")


def _written(texts: pa.ChunkedArray, mark: str) -> str:
    place = pc.index(pc.match_substring(texts, mark), True).as_py()
    return str(texts[place].as_py())


def _named(table: Table, column: str) -> str:
    return f"{table.path}, column {column!r}"
