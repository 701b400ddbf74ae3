"""No row is lost unseen, no file fills the memory, and no name reaches a terminal raw."""

import gzip
import os
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import DataError
from pipeline.market.readers import ReadOptions, limits, packed, read_bars, sources, text_file
from pipeline.market.trade_files import TradeReadOptions, read_trades

NAMES = "timestamp,open,high,low,close,volume\n"
ROWS = [f"2021-03-01T14:{minute:02}:00Z,3800,3801,3799.5,3800.25,{minute}\n" for minute in range(60)]
TRADE_NAMES = "timestamp,price,volume,side\n"
TRADES = [f"2021-03-01T14:{minute:02}:00Z,3800.25,{minute},buy\n" for minute in range(60)]


def write(folder: Path, name: str, data: str | bytes) -> Path:
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder / name


def volumes(path: Path, **options: object) -> list[float]:
    return read_bars(path, ReadOptions(**options)).frame["volume"].tolist()


def traded(path: Path, chunk_rows: int = 8, **options: object) -> list[float]:
    chunks = read_trades(path, TradeReadOptions(**options), chunk_rows=chunk_rows)
    return [float(each) for chunk in chunks for each in chunk["volume"]]


def zstd(data: bytes) -> bytes:
    return pa.compress(data, "zstd", asbytes=True)


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_packed_file_of_several_members_is_read_to_its_end(tmp_path: Path, pack: object) -> None:
    bars = [NAMES + "".join(ROWS[:10]), *ROWS[10:12], "".join(ROWS[12:])]
    trades = [TRADE_NAMES + "".join(TRADES[:10]), *TRADES[10:12], "".join(TRADES[12:])]
    path = write(tmp_path, "bars.csv.gz", b"".join(pack(each.encode()) for each in bars))  # type: ignore[operator]
    other = write(tmp_path, "trades.csv.gz", b"".join(pack(each.encode()) for each in trades))  # type: ignore[operator]

    assert volumes(path) == list(range(60))
    assert traded(other) == list(range(60))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda data: data + b"garbage", "something else follows the packed data"),
        (lambda data: data[:-5], "it ends early"),
        (lambda data: data + data[: len(data) // 2], "it ends early"),
        (lambda data: data[:-8] + bytes(8), "CRC"),
    ],
)
def test_gzip_that_is_not_whole_is_refused_by_bars_and_trades(tmp_path: Path, spoil: object, sentence: str) -> None:
    bars = write(tmp_path, "b.csv.gz", spoil(gzip.compress((NAMES + "".join(ROWS)).encode())))  # type: ignore[operator]
    trades = write(tmp_path, "t.csv.gz", spoil(gzip.compress((TRADE_NAMES + "".join(TRADES)).encode())))  # type: ignore[operator]

    with pytest.raises(DataError, match=f"damaged gzip data .*{sentence}"):
        volumes(bars)
    with pytest.raises(DataError, match=f"damaged gzip data .*{sentence}"):
        traded(trades)


def test_zstandard_that_ends_early_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 9**9, 9999)
    rows = "".join(f"2021-03-01T14:00:00Z,1,1,1,1,{each}\n" for each in noise)

    with pytest.raises(DataError, match="damaged zstd data"):
        volumes(write(tmp_path, "b.csv.zst", zstd((NAMES + rows).encode())[:-100]))


def test_lines_that_are_not_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    lines = [
        "# exported",
        "Symbol: ES",
        NAMES.strip(),
        *map(str.strip, ROWS[:3]),
        "# noon",
        NAMES.strip(),
        "",
        ROWS[3].strip(),
    ]
    raw = read_bars(write(tmp_path, "bars.csv", "\n".join([*lines, NAMES.strip(), *map(str.strip, ROWS[4:]), ""])))

    assert raw.frame["volume"].tolist() == list(range(60))
    assert raw.frame["source_line"].tolist()[:5] == [4, 5, 6, 10, 12]
    assert "2 lines above the table left out, 1 comment left out, 2 repeated lines of names left out" in raw.description


@pytest.mark.parametrize("mark", ["# ", "#", "//", "# made by hand\n\n# "])
def test_names_in_a_comment_are_the_names_of_the_columns(tmp_path: Path, mark: str) -> None:
    names = f"{mark}Date,Close,High,Low,Open,Volume\n"
    rows = "2021-03-01T14:30:00Z,3,4,1,2,7\n2021-03-01T14:35:00Z,5,6,2,3,8\n"

    raw = read_bars(write(tmp_path, "bars.csv", names + "# US dollars\n" * (mark == "#") + rows + names[-36:] + rows))

    assert (
        raw.frame[["open", "high", "low", "close", "volume"]].to_numpy().tolist()
        == [
            [2, 4, 1, 3, 7],
            [3, 6, 2, 5, 8],
        ]
        * 2
    )
    assert "1 repeated line of names left out" in raw.description


def test_names_in_a_comment_are_those_of_trades_too(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", "# " + TRADE_NAMES + TRADES[0] + "# " + TRADE_NAMES + "".join(TRADES[1:]))

    assert traded(path) == list(range(60))


@pytest.mark.parametrize("line", [NAMES, "Datum,Hoch,Tief,Eröffnung,Schluss,Volumen\n"])
def test_line_of_names_is_skipped_and_counted_where_names_are_given(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, "bars.csv", line + "2021-03-01T14:30:00Z,4,1,2,3,7\n2021-03-01T14:35:00Z,6,2,3,5,8\n")

    raw = read_bars(path, ReadOptions(names=("timestamp", "high", "low", "open", "close", "volume")))

    prices = raw.frame[["open", "high", "low", "close", "volume"]].to_numpy().tolist()
    assert prices == [[2, 4, 1, 3, 7], [3, 6, 2, 5, 8]]
    assert raw.frame["source_line"].tolist() == [2, 3]
    assert "1 line above the table left out" in raw.description


@pytest.mark.parametrize("line", [TRADE_NAMES, ""])
def test_trades_of_given_names_are_those_below_a_line_of_names(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, "t.csv", line + "".join(TRADES))

    assert traded(path, names=("timestamp", "price", "volume", "side")) == list(range(60))


def test_row_that_begins_with_an_error_of_a_spreadsheet_is_not_a_comment(tmp_path: Path) -> None:
    path = write(tmp_path, "bars.csv", NAMES + "#N/A,1,1,1,1,70\n" + "".join(ROWS) + "#,1,1,1,1,71\n")

    raw = read_bars(path)

    assert raw.frame["volume"].tolist() == [70, *range(60)]
    assert raw.frame["timestamp"].isna().tolist() == [True] + [False] * 60
    assert "1 comment left out" in raw.description
    with pytest.raises(DataError, match=r"line 2, column .*'#REF!'"):
        read_bars(write(tmp_path, "bars.csv", NAMES + "#REF!,1,1,1,1,70\n" + "".join(ROWS)))


def test_trades_without_names_at_the_top_are_not_dropped_for_names_below(tmp_path: Path) -> None:
    path = write(
        tmp_path, "t.csv", "".join([*TRADES[:3], TRADE_NAMES, *TRADES[3:]]).replace(",buy", "").replace(",side", "")
    )

    with pytest.raises(DataError, match=r"line 1: .* names no columns; set names|has no column for"):
        traded(path)


def test_rows_skipped_at_both_ends_are_counted_and_lines_still_right(tmp_path: Path) -> None:
    path = write(tmp_path, "bars.csv", "junk,1\nmore\n" + NAMES + "".join(ROWS) + "\nTotal,,,,,1770\nend\n\n")

    raw = read_bars(path, ReadOptions(skip_rows=2, skip_footer=2))

    assert raw.frame["volume"].tolist() == list(range(60))
    assert raw.frame["source_line"].tolist() == list(range(4, 64))
    assert "2 lines skipped at the beginning, 2 lines skipped at the end" in raw.description
    with pytest.raises(DataError, match=r"line 66: 1 field where 6 are expected .*set skip_footer \(--skip-footer 1\)"):
        read_bars(path)


@pytest.mark.parametrize("chunk_rows", [1, 3, 1000])
def test_trades_skip_both_ends_whatever_the_chunks(tmp_path: Path, chunk_rows: int) -> None:
    path = write(
        tmp_path,
        "t.csv",
        "junk\n# c\n"
        + "".join([TRADE_NAMES, *TRADES[:9], "# d\n", TRADE_NAMES, *TRADES[9:]])
        + "Total,,1770,\n\nend,,,\n",
    )

    left_out: Counter[str] = Counter()
    options = TradeReadOptions(skip_rows=1, skip_footer=2)

    for _ in read_trades(path, options, chunk_rows=chunk_rows, left_out=left_out):
        pass

    assert traded(path, chunk_rows, skip_rows=1, skip_footer=2) == list(range(60))
    assert left_out == {
        "line skipped at the beginning": 1,
        "line above the table": 1,
        "line skipped at the end": 2,
        "comment": 1,
        "repeated line of names": 1,
    }


@pytest.mark.parametrize(
    "data",
    [
        (NAMES + "".join(ROWS)).replace("\n", "\r").encode(),
        (NAMES + "".join(ROWS)).replace("\n", "\r\n").encode(),
        (NAMES + "".join(ROWS)).encode("utf-16-le"),
        (NAMES + "".join(ROWS)).encode("utf-16-be"),
        (NAMES + "".join(ROWS)).encode("utf-16"),
        ("sep=,\n" + NAMES + "".join(ROWS)).encode("utf-8-sig"),
        (NAMES + "".join(row.replace("\n", ",\n") for row in ROWS)).encode(),
        (NAMES.replace("\n", ",\n") + "".join(row.replace("\n", ",\n") for row in ROWS)).encode(),
        (NAMES + "".join('"' + row.strip().replace(",", '","') + '"\n' for row in ROWS)).encode(),
        (NAMES + "".join(ROWS)).replace(",", "|").encode(),
        ("".join(ROWS)).encode(),
    ],
    ids=["cr", "crlf", "utf16le", "utf16be", "utf16", "sep", "trailing", "both", "quoted", "pipes", "no names"],
)  # fmt: skip
def test_text_in_many_wrappings_holds_the_same_rows(tmp_path: Path, data: bytes) -> None:
    assert volumes(write(tmp_path, "bars.csv", data)) == list(range(60))


def test_two_columns_of_one_name_are_refused_by_both_and_settled_by_the_option(tmp_path: Path) -> None:
    rows = "".join(row.replace("\n", ",9999\n") for row in ROWS[:3])
    path = write(tmp_path, "bars.csv", NAMES.replace("\n", ",close\n") + rows)

    with pytest.raises(DataError, match=r"several columns for close \(close \[column 5\], close \[column 7\]\)"):
        read_bars(path)
    with pytest.raises(DataError, match=r"several columns 'close': close \[column 5\], close \[column 7\]"):
        read_bars(path, ReadOptions(columns={"close": "close"}))
    taken = read_bars(path, ReadOptions(columns={"close": "close [column 7]"})).frame["close"]
    assert taken.tolist() == [9999] * 3


def test_volume_of_several_columns_is_their_sum(tmp_path: Path) -> None:
    text_ = NAMES.replace("volume", "up,down") + "".join(row.replace("\n", ",5\n") for row in ROWS[:3])
    raw = read_bars(write(tmp_path, "bars.csv", text_), ReadOptions(volume_columns="Up + Down"))

    assert raw.frame["volume"].tolist() == [5, 6, 7]
    assert list(raw.frame)[5] == "volume"
    assert "volume from up + down" in raw.description


def test_terminal_escapes_in_names_are_shown_as_text(tmp_path: Path) -> None:
    path = write(tmp_path, "bars.csv", "a\x1b]52;c;UFdORUQ=\x07\x1b[31mX,b\n1,2\n")

    with pytest.raises(DataError) as caught:
        read_bars(path)
    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)
    renamed = write(tmp_path, "ok.csv", NAMES.replace("close", "clo\x1b[31mse") + ROWS[0])
    assert "\x1b" not in read_bars(renamed, ReadOptions(columns={"close": "clo\x1b[31mse"})).description


def test_name_of_a_file_that_is_not_utf8_is_shown_escaped(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.csv"
    Path(os.fsdecode(name)).write_text(NAMES + ROWS[1])

    raw = read_bars(tmp_path)

    assert raw.frame["volume"].tolist() == [1]
    assert raw.frame["source_file"][0].endswith("caf\\xe9.csv")


def test_gzip_that_grows_beyond_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "EXPANSION_FROM", limits.MIB)
    bars = write(tmp_path, "b.csv.gz", gzip.compress(NAMES.encode() + ROWS[0].encode() * 200_000))
    trades = write(tmp_path, "t.csv.gz", gzip.compress(TRADE_NAMES.encode() + TRADES[0].encode() * 200_000))

    with pytest.raises(DataError, match="expands to more than 200 times its size"):
        volumes(bars)
    with pytest.raises(DataError, match="expands to more than 200 times its size"):
        traded(trades, 100_000)


def test_text_larger_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "b.csv.gz", gzip.compress((NAMES + "".join(ROWS)).encode()))
    monkeypatch.setattr(text_file, "MAX_TEXT_BYTES", 1000)

    with pytest.raises(DataError, match="holds more than 0 MiB of text; split it, or convert it to Parquet"):
        volumes(path)


@pytest.mark.parametrize("place", ["names", "rows"])
def test_line_longer_than_the_limit_is_refused(tmp_path: Path, place: str) -> None:
    long = "1" * (2 * limits.MAX_LINE_BYTES)
    bars = (
        NAMES.strip() + ",x" * len(long) + "\n" + ROWS[0]
        if place == "names"
        else NAMES + ROWS[0] + long + "\n" + ROWS[1]
    )
    trades = TRADE_NAMES + TRADES[0] + long

    with pytest.raises(DataError, match=f"line {1 if place == 'names' else 3}: longer than 1 MiB"):
        volumes(write(tmp_path, "b.csv", bars))
    with pytest.raises(DataError, match="line 3: longer than 1 MiB"):
        traded(write(tmp_path, "t.csv", trades))


def test_more_columns_or_lines_than_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ",".join(f"c{place}" for place in range(limits.MAX_COLUMNS + 1))

    with pytest.raises(DataError, match="has 10,001 columns, over 10,000"):
        volumes(write(tmp_path, "b.csv", f"{names}\n1\n"))
    monkeypatch.setattr(text_file, "MAX_ROWS", 10)
    with pytest.raises(DataError, match="has more than 10 lines"):
        volumes(write(tmp_path, "b.csv", NAMES + "".join(ROWS)))


def test_glob_that_would_walk_the_disk_stops_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in range(5):
        (tmp_path / f"f{folder}" / "deep").mkdir(parents=True)
        write(tmp_path / f"f{folder}" / "deep", "bars.csv", NAMES + ROWS[folder])
    (tmp_path / "f0" / "deep" / "back").symlink_to(tmp_path)

    assert volumes(tmp_path / "**" / "*.csv") == [0, 1, 2, 3, 4]
    assert volumes(tmp_path / "f[12]" / "deep" / "b?rs.csv") == [1, 2]
    monkeypatch.setattr(sources, "MAX_FILES", 3)
    with pytest.raises(DataError, match="stands for 5 files, over 3"):
        volumes(tmp_path / "**" / "*.csv")
    monkeypatch.setattr(sources, "MAX_FOLDER_ENTRIES", 8)
    with pytest.raises(DataError, match="more than 8 entries to scan; name a deeper folder"):
        volumes(tmp_path / "**" / "*.none")


def test_gzip_header_of_its_own_name_and_empty_member_is_read(tmp_path: Path) -> None:
    packer = zlib.compressobj(wbits=31)
    data = packer.compress((NAMES + "".join(ROWS)).encode()) + packer.flush()

    assert volumes(write(tmp_path, "b.csv.gz", gzip.compress(b"") + data + gzip.compress(b""))) == list(range(60))
