"""Workbooks of Excel and LibreOffice: their dates, their days without a format, and the lines above their rows."""

import base64
import zipfile
import zlib
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.market.readers import RawBars, ReadOptions, read_bars
from pipeline.market.readers.formats.workbook_days import counts_from_1904

# Two five-minute bars of 2 March 2022, 17:00 Chicago.
OPENS = pd.DatetimeIndex(["2022-03-02 23:00", "2022-03-02 23:05"], tz="UTC")
BARS = [[4473.75, 4477.0, 4470.5, 4474.0, 1810], [4473.75, 4476.5, 4473.5, 4474.5, 495]]
NAMES = ["Date", "Open", "High", "Low", "Close", "Volume"]
CHICAGO = {"time_zone": "America/Chicago"}
# Days since 1899-12-30 and since 1904-01-01: 2 March 2022, 17:00 and 17:05.
SINCE_1900 = [44622 + 17 / 24, 44622 + 17 / 24 + 5 / 1440]
SINCE_1904 = [day - 1462 for day in SINCE_1900]

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
KINDS = "application/vnd.openxmlformats-officedocument.spreadsheetml"
WORKBOOK = {
    "[Content_Types].xml": (
        f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{KINDS}.sheet.main+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        '<sheet name="ES" sheetId="1" r:id="r1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="r1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="r2" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>'
    ),
    "xl/styles.xml": (
        f'<styleSheet xmlns="{MAIN}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="22"/></cellXfs></styleSheet>'
    ),
}
# Of 1904, with days that no format marks as dates; written by xlwt 1.3.0.
XLS = (
    "c-rk)O=uHA6#izDG(WUy(x!#}P(snFZ7-"
    "q+FYVT!SQVSr3MwLKY8NeuNsSfJi`ANw2!bcYOQ9DdRK56vKj^6*go+}9BBY8JJqaov+N^J0c4Jz5Xh4fU`z`a$dv9jm%<jCIo!z"
    "IC{><o&+9}LIJ8a16Zj=<*1SPkr_(0{lE=4nUQPM5^RdBm#B1;^&TlT~$=TOe~6ck*yKOzR+Qrd$-"
    "gcETsxQJNCV~7YjhBjh>%VhDQhDTMwyq~#}`5M=}$K1h|bIfg2HzRgqQVln+F`{^v(g^9%%Y2L5yyDs`QH94cicg*wxw;OlO%6n2"
    "e`Z00y%b}hdF#~TS~3#LAV3p1hA(;$_-"
    "wA!he6A}xOM@uf17Q0&SSrz*nwf_`#8W;@Zg0_mM92qpT=rlj51NJ4Ur*@vhG1GPT8h`0|%+**2FOfus)VJqEWRSiP+IYnn!NZyr"
    "_M%7Ihg1dns{0%31bv$opv9p1$(wSyx|=x|c1(ypiX&`=xS(&~Zw(pvGP<;X$(3W^U2Ke44%1v0Td>pg^U(si(>iHjZ$eGhEt4{j"
    "6d<SC<vY%Slds+;+Pm^-"
    "f(u@_6UeiNN?vbrg;C`st_k@)|*_Xcd<(O59P+To_x!8|Ipywh5QwGsdnP@3eBvz{8@SIj6~|Bl4PJJgb~$Bh8lA?4;TAnu9cl(T"
    "|wZkBy$5;C`;A)9LEU_Z|1Kgzv=<HC#vhH6%-"
    "0HcR;f%UkNDPw7pW$D6|5CJxt6nBJ5EZ)bZYzwVM8?Uww&DZRBT6}Tyz(nk3M9$2to!GZ+~7A#o!4<Pt>n>*6m`2d?c*gK8?Iy02"
    "A)^C!37QIN&HAEk#A;c+9;&@T<Qw@hOeTfCOG5;4z?4;h4h@y|j5iL4?>2psM-p_&?`hMLKDz^V@G2{Hr{eK556x$R"
)


def workbook(path: Path, cells: list[list[object]], *, dates: bool = True, settings: str = "") -> Path:
    """A workbook of one sheet as Excel writes it, the numbers of its first column formatted as dates or not."""
    rows = []
    for number, row in enumerate(cells, start=1):
        written = ""
        for place, cell in enumerate(row):
            at = f'r="{chr(65 + place)}{number}"'
            if isinstance(cell, str):
                written += f'<c {at} t="inlineStr"><is><t>{cell}</t></is></c>'
            else:
                written += f'<c {at} s="{int(dates and place == 0)}"><v>{cell}</v></c>'
        rows.append(f'<row r="{number}">{written}</row>')
    parts = {
        **WORKBOOK,
        "xl/workbook.xml": WORKBOOK["xl/workbook.xml"].replace("<sheets>", f"{settings}<sheets>"),
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{"".join(rows)}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return path


def rows_of(days: list[float]) -> list[list[object]]:
    return [[day, *bar] for day, bar in zip(days, BARS, strict=True)]


def assert_the_bars(raw: RawBars) -> None:
    assert raw.format == "excel"
    assert raw.frame["timestamp"].tolist() == OPENS.tolist()
    assert raw.frame[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == BARS


def test_dates_are_read_to_the_second_below_a_title(tmp_path: Path) -> None:
    path = workbook(tmp_path / "es.xlsx", [["ES, five minutes"], NAMES, *rows_of(SINCE_1900)])

    raw = read_bars(path, ReadOptions(**CHICAGO))

    assert_the_bars(raw)
    assert raw.frame["source_line"].tolist() == [3, 4]
    assert "1 row above the table left out" in raw.description


def test_file_that_is_not_a_workbook_is_refused(tmp_path: Path) -> None:
    (tmp_path / "es.xlsx").write_bytes(b"PK\x03\x04" + b"\1" * 200)

    with pytest.raises(DataError, match="not a workbook that can be read"):
        read_bars(tmp_path / "es.xlsx")


@pytest.mark.parametrize("dates", [True, False])
@pytest.mark.parametrize(
    ("settings", "days"),
    [
        ("", SINCE_1900),
        ('<workbookPr date1904="0"/>', SINCE_1900),
        ("<workbookPr date1904='false' codeName='x'/>", SINCE_1900),
        ('<workbookPr date1904="1"/>', SINCE_1904),
        ('<workbookPr defaultThemeVersion="124226"  date1904 = "true" />', SINCE_1904),
    ],
)
def test_days_are_counted_from_the_year_the_workbook_names(
    tmp_path: Path, settings: str, days: list[float], dates: bool
) -> None:
    path = workbook(tmp_path / "es.xlsx", [NAMES, *rows_of(days)], dates=dates, settings=settings)

    assert_the_bars(read_bars(path, ReadOptions(**CHICAGO)))


@pytest.mark.parametrize("dates", [True, False])
@pytest.mark.parametrize(("settings", "first"), [("", 44622), ('<workbookPr date1904="1"/>', 43160)])
def test_days_and_parts_of_a_day_in_two_columns_are_put_together(
    tmp_path: Path, settings: str, first: int, dates: bool
) -> None:
    rows = [[first, day % 1, *bar] for day, bar in zip(SINCE_1900, BARS, strict=True)]
    path = workbook(tmp_path / "es.xlsx", [["Date", "Time", *NAMES[1:]], *rows], dates=dates, settings=settings)

    assert_the_bars(read_bars(path, ReadOptions(**CHICAGO)))


def test_numbers_that_are_not_days_stay_what_they_are_in_a_workbook_of_1904(tmp_path: Path) -> None:
    rows = [[1646262000 + 300 * place, *bar] for place, bar in enumerate(BARS)]
    path = workbook(tmp_path / "es.xlsx", [NAMES, *rows], dates=False, settings='<workbookPr date1904="1"/>')

    assert_the_bars(read_bars(path))


def test_old_workbook_of_1904_is_read_by_its_own_days(tmp_path: Path) -> None:
    (tmp_path / "es.xls").write_bytes(zlib.decompress(base64.b85decode("".join(XLS))))

    assert_the_bars(read_bars(tmp_path / "es.xls", ReadOptions(**CHICAGO)))


@pytest.mark.parametrize(
    "above", [[], [["ES"], NAMES], [NAMES], [["Zeit", "Erster", "Hoch", "Tief", "Letzter", "Menge"]]]
)
def test_users_names_stand_for_the_sheets_own(tmp_path: Path, above: list[list[object]]) -> None:
    path = workbook(tmp_path / "es.xlsx", [*above, *rows_of(SINCE_1900)])

    raw = read_bars(path, ReadOptions(names=tuple(NAMES), **CHICAGO))

    assert_the_bars(raw)
    assert raw.frame["source_line"].tolist() == [len(above) + 1, len(above) + 2]
    assert ("above the table left out" in raw.description) == bool(above)


RECORDS = b"\x83\x01\x00" + b"\x80\x01\xc8\x01" + b"\x99" * 200  # of .xlsb: BrtBeginBook, and one of 200 bytes


@pytest.mark.parametrize(
    ("part", "content", "expected"),
    [
        ("xl/workbook.bin", RECORDS + b"\x99\x01\x02\x01\x00", True),  # BrtWbProp
        ("xl/workbook.bin", RECORDS + b"\x99\x01\x02\x20\x00", False),
        ("xl/workbook.bin", RECORDS + b"\x99", False),
        ("content.xml", b'<table:null-date table:date-value="1904-01-01"/>', True),
        ("content.xml", b'<table:null-date table:date-value="1899-12-30"/>', False),
        ("other.xml", b"", False),
    ],
)
def test_year_is_found_in_each_kind_of_workbook(tmp_path: Path, part: str, content: bytes, expected: bool) -> None:
    with zipfile.ZipFile(tmp_path / "book", "w") as archive:
        archive.writestr(part, content)

    assert counts_from_1904(tmp_path / "book") is expected


def test_fewer_names_than_columns_are_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "es.xlsx", [[*row, 7] for row in rows_of(SINCE_1900)])

    with pytest.raises(DataError, match=r"7 columns in sheet 'ES', and 6 names; .*--names"):
        read_bars(path, ReadOptions(names=tuple(NAMES), **CHICAGO))
