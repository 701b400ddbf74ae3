"""Lines of names: in comments, delimited in another way than the rows, and those that the user's names stand for."""

import json
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.market.readers import RawBars, ReadOptions, read_bars

ROWS = ["2024-01-02,09:30,10,14,9,12,100", "2024-01-02,09:35,12,16,11,15,200", "2024-01-02,09:40,15,17,13,14,300"]
VALUES = [[10, 14, 9, 12, 100], [12, 16, 11, 15, 200], [15, 17, 13, 14, 300]]
NAMES = "date time open high low close volume"
UTC = {"time_zone": "UTC"}


def read(folder: Path, text: str, **options: object) -> RawBars:
    (folder / "bars.csv").write_text(text)
    return read_bars(folder / "bars.csv", ReadOptions.model_validate({**UTC, **options}))


def assert_the_bars(bars: RawBars) -> None:
    assert bars.frame["timestamp"].dt.strftime("%H:%M").tolist() == ["09:30", "09:35", "09:40"]
    assert bars.frame[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == VALUES


def lines(delimiter: str, rows: list[str] = ROWS) -> str:
    return "\n".join(row.replace(",", delimiter) for row in rows) + "\n"


@pytest.mark.parametrize(
    "mark", ["# ", "#", "// ", "% ", "-- ", "", "# Fields: ", "#columns = ", "# ES, 5 minutes\n# "]
)
@pytest.mark.parametrize(("between", "of_rows"), [(" ", ","), ("  ", "\t"), ("\t", ","), (";", ","), (",", ";")])
def test_names_delimited_in_another_way_than_the_rows_name_their_columns(
    tmp_path: Path, mark: str, between: str, of_rows: str
) -> None:
    swapped = NAMES.replace("open", "x").replace("close", "open").replace("x", "close").replace(" ", between)
    rows = [
        ",".join([*fields[:2], fields[5], *fields[3:5], fields[2], fields[6]])
        for row in ROWS
        if (fields := row.split(","))
    ]

    assert_the_bars(read(tmp_path, f"{mark}{swapped}\n{lines(of_rows, rows)}"))


def test_sentence_about_open_high_and_low_names_no_columns(tmp_path: Path) -> None:
    sentence = "# The open high low and close are in dollars\n"

    assert_the_bars(read(tmp_path, sentence + lines(",")))
    assert_the_bars(read(tmp_path, sentence + NAMES.replace(" ", ",") + "\n" + lines(",")))


@pytest.mark.parametrize("mark", ["# ", ""])
def test_names_that_are_more_or_fewer_than_the_fields_are_refused_with_the_option(tmp_path: Path, mark: str) -> None:
    text = f"{mark}timestamp close high low open volume\n" + lines(",")

    with pytest.raises(DataError, match=r"line 1: .* names of columns .* 7 fields in the rows below; .*--names"):
        read(tmp_path, text)
    assert_the_bars(read(tmp_path, text, names=NAMES.split()))


@pytest.mark.parametrize(
    "names", [NAMES + "\n", "# " + NAMES + "\n", "  Date   Time  Open High Low Close   Volume\n", ""]
)
def test_fields_between_any_number_of_blanks_are_read(tmp_path: Path, names: str) -> None:
    assert_the_bars(read(tmp_path, names + "".join(f"  {line}  \n" for line in lines("   ").splitlines())))


@pytest.mark.parametrize(
    "names", ["Zeit,Uhr,Erster,Hoch,Tief,Letzter,Menge", "0,1,2,3,4,5,6", "# date time open high low close volume"]
)
def test_line_of_names_that_the_users_names_stand_for_is_left_out_and_counted(tmp_path: Path, names: str) -> None:
    bars = read(tmp_path, f"{names}\n{lines(',')}", names=NAMES.split())

    assert_the_bars(bars)
    assert bars.frame["source_line"].tolist() == [2, 3, 4]
    assert "1 line above the table left out" in bars.description


def test_other_line_above_the_rows_is_refused_with_the_option_that_skips_it(tmp_path: Path) -> None:
    text = "Symbol: ES,5 min\n" + lines(",")

    with pytest.raises(DataError, match=r"line 1: 2 fields where 7 are expected .*--skip-rows 1"):
        read(tmp_path, text, names=NAMES.split())
    assert_the_bars(read(tmp_path, text, names=NAMES.split(), skip_rows=1))


@pytest.mark.parametrize(
    "text", ["[[{0},12,14,9,10,100],[{1},15,16,11,12,200]]", '{{"data": [[{0},12,14,9,10,100],[{1},15,16,11,12,200]]}}']
)
def test_arrays_of_json_take_the_users_names(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bars.json"
    path.write_text(text.format(1704187800000, 1704188100000))
    names = ("t", "close", "high", "low", "open", "volume")

    frame = read_bars(path, ReadOptions(names=names)).frame

    assert frame[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == VALUES[:2]
    with pytest.raises(DataError, match="6 values in a row, and 5 names are set"):
        read_bars(path, ReadOptions(names=names[:5]))


def test_arrays_of_json_in_no_known_order_are_refused_with_the_option_that_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "bars.json"
    path.write_text("[[1704187800000,100,14,9,10,12],[1704188100000,200,16,11,12,15]]")

    with pytest.raises(DataError, match="--names"):
        read_bars(path)
    frame = read_bars(path, ReadOptions(names=("t", "v", "h", "l", "o", "c"))).frame
    assert frame[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == VALUES[:2]


@pytest.mark.parametrize("around", ["first row", "pandas", "quandl", "lines"])
def test_names_beside_the_arrays_of_json_name_their_values(tmp_path: Path, around: str) -> None:
    names = ["time", "close", "high", "low", "open", "volume"]
    rows = [[1704187800000 + 300_000 * place, *(bar[at] for at in (3, 1, 2, 0, 4))] for place, bar in enumerate(VALUES)]
    documents = {
        "first row": [names, *rows],
        "pandas": {"columns": names, "index": [0, 1, 2], "data": rows},
        "quandl": {"dataset": {"column_names": names, "data": rows}},
    }
    path = tmp_path / "bars.json"
    path.write_text("\n".join(map(json.dumps, [names, *rows])) if around == "lines" else json.dumps(documents[around]))

    assert_the_bars(read_bars(path))


def test_names_of_json_without_rows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bars.json").write_text('[["time", "open", "high", "low", "close", "volume"]]')

    with pytest.raises(DataError, match="holds no list of bars"):
        read_bars(tmp_path / "bars.json")
