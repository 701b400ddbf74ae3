"""More vendors' layouts, read by the command line's options alone: the same two bars of 2 March 2022, 17:00 Chicago."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.market.readers import RawBars, ReadOptions, read_bars

OPENS = pd.DatetimeIndex(["2022-03-02 23:00", "2022-03-02 23:05"], tz="UTC")
BARS = [[4473.75, 4477.0, 4470.5, 4474.0, 1810], [4473.75, 4476.5, 4473.5, 4474.5, 495]]
CHICAGO = {"time_zone": "America/Chicago"}
ENDS = {**CHICAGO, "label": "close"}
PRICES = [",".join(map(str, bar)) for bar in BARS]

THINKORSWIM = (
    "Strategy report\nSymbol: /ES:XCME\nWork Time: 3/3/22 1:00 PM\n\nDate/Time;Open;High;Low;Close;Volume;\n"
    '3/2/22 5:00 PM;"$4,473.75";"$4,477.00";"$4,470.50";"$4,474.00";"1,810";\n'
    '3/2/22 5:05 PM;"$4,473.75";"$4,476.50";"$4,473.50";"$4,474.50";495;\n'
    '3/13/22 5:05 PM;"$4,473.75";"$4,476.50";"$4,473.50";"$4,474.50";495;\n'
)
QUANTOWER = (
    "Time left;Open;High;Low;Close;Volume;Ticks;\n02.03.2022 23:00:00;4473.75;4477;4470.5;4474;1810;9;\n"
    "02.03.2022 23:05:00;4473.75;4476.5;4473.5;4474.5;495;9;\n13.03.2022 23:05:00;1;1;1;1;1;1;\n"
)
BARCHART = (
    "Symbol,Time,Open,High,Low,Latest,Change,%Change,Volume,Open Int\n"
    "ESH22,03/13/2022 17:05,1,1,1,1,0,0%,1,1\n"
    "ESH22,03/02/2022 17:05,4473.75,4476.5,4473.5,4474.5,+0.75,+0.02%,495,1\n"
    "ESH22,03/02/2022 17:00,4473.75,4477,4470.5,4474,+0.25,+0.01%,1810,1\n"
    '"Downloaded from Barchart.com as of 03-13-2022 06:00am CST"\n'
)
ALGOSEEK = (
    "Date,Ticker,TimeBarStart,OpenBidPrice,FirstTradePrice,HighTradePrice,LowTradePrice,LastTradePrice,Volume\n"
    "20220302,ES,17:00,4473.5,4473.75,4477,4470.5,4474,1810\n"
    "20220302,ES,17:05,4474,4473.75,4476.5,4473.5,4474.5,495\n"
)
REFINITIV = (
    "#RIC,Domain,Date-Time,GMT Offset,Type,Open,High,Low,Last,Volume,No. Trades\n"
    "ESH2,Market Price,2022-03-02T23:00:00.000000000Z,-6,Intraday 5Min,4473.75,4477,4470.5,4474,1810,9\n"
    "ESH2,Market Price,2022-03-02T23:05:00.000000000Z,-6,Intraday 5Min,4473.75,4476.5,4473.5,4474.5,495,9\n"
)
METASTOCK = (
    "<TICKER>,<PER>,<DTYYYYMMDD>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
    f"ES,I,20220302,1700,{PRICES[0]},0\nES,I,20220302,1705,{PRICES[1]},0\n"
)
EASYLANGUAGE = f"1220302,1705,{PRICES[0]}\n1220302,1710,{PRICES[1]}\n"
UTC_TOO = (
    "datetime,datetime_utc,open,high,low,close,volume\n"
    f"2022-03-02 17:00,2022-03-02 23:00,{PRICES[0]}\n2022-03-02 17:05,2022-03-02 23:05,{PRICES[1]}\n"
)
BLOOMBERG = (
    "Security\tESH2 Index\n\nDates\tPX_OPEN\tPX_HIGH\tPX_LOW\tPX_LAST\tPX_VOLUME\n"
    "2022-03-02 17:00\t4473.75\t4477\t4470.5\t4474\t1810\n2022-03-02 17:05\t4473.75\t4476.5\t4473.5\t4474.5\t495\n"
)


def read(folder: Path, text: str, name: str = "bars.csv", **options: Any) -> RawBars:
    (folder / name).write_text(text)
    return read_bars(folder / name, ReadOptions(**options), instrument="ES")


def assert_the_bars(raw: RawBars) -> None:
    frame = raw.frame.sort_values("timestamp", ignore_index=True).head(2)
    assert frame["timestamp"].tolist() == OPENS.tolist()
    assert frame[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == BARS


@pytest.mark.parametrize(
    ("text", "options"),
    [
        pytest.param(THINKORSWIM, CHICAGO, id="thinkorswim"),
        pytest.param(QUANTOWER, {"time_zone": "UTC"}, id="quantower"),
        pytest.param(BARCHART, {**CHICAGO, "skip_footer": 1}, id="barchart"),
        pytest.param(ALGOSEEK, CHICAGO, id="algoseek"),
        pytest.param(REFINITIV, {}, id="refinitiv"),
        pytest.param(METASTOCK, CHICAGO, id="metastock"),
        pytest.param(EASYLANGUAGE, ENDS, id="easylanguage"),
        pytest.param(
            "Date,Time,Open,High,Low,Close,Volume\n" + EASYLANGUAGE.replace(",17", ".00,17"), ENDS, id="floats"
        ),
        pytest.param(UTC_TOO, {}, id="utc-beside-local"),
        pytest.param(BLOOMBERG, CHICAGO, id="bloomberg"),
    ],
)
def test_layout_is_read_with_what_the_file_cannot_tell(tmp_path: Path, text: str, options: dict[str, Any]) -> None:
    assert_the_bars(read(tmp_path, text, **options))


def test_footer_of_a_download_names_the_option_that_skips_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--skip-footer 1"):
        read(tmp_path, BARCHART, **CHICAGO)


@pytest.mark.parametrize("times", [("17:00", "17:05"), ("1700", "1705"), ("5:00 PM", "5:05 PM")])
def test_times_of_day_without_dates_are_refused_with_the_option(tmp_path: Path, times: tuple[str, str]) -> None:
    rows = "".join(f"2022-03-02,{time},{prices}\n" for time, prices in zip(times, PRICES, strict=True))
    text = "Trading Day,Time,Open,High,Low,Close,Volume\n" + rows

    with pytest.raises(DataError, match=r"is a time of day without its date; .*--columns 'date=NAME'"):
        read(tmp_path, text, **CHICAGO)
    assert_the_bars(read(tmp_path, text, columns={"date": "Trading Day"}, **CHICAGO))


def candles(*sides: str) -> str:
    """Candles of Oanda's API, whose prices lie one level deeper."""
    rows = [
        {"time": time.isoformat(), "volume": bar[4], **{side: dict(zip("ohlc", bar, strict=False)) for side in sides}}
        for time, bar in zip(OPENS, BARS, strict=True)
    ]
    return json.dumps({"instrument": "ES", "granularity": "M5", "candles": rows})


def test_objects_within_objects_of_json_are_read(tmp_path: Path) -> None:
    assert_the_bars(read(tmp_path, candles("mid"), "bars.json"))


def test_prices_of_two_sides_are_named_by_their_side(tmp_path: Path) -> None:
    text = candles("bid", "ask")

    with pytest.raises(DataError, match=r"bid\.o, bid\.h, .*ask\.c\); .*--columns"):
        read(tmp_path, text, "bars.json")
    asked = {"open": "ask.o", "high": "ask.h", "low": "ask.l", "close": "ask.c"}
    assert_the_bars(read(tmp_path, text, "bars.json", columns=asked))


def test_messages_two_objects_deep_are_read(tmp_path: Path) -> None:
    lines = [
        {
            "stream": "es",
            "data": {
                "e": "kline",
                "k": {"t": time.value // 10**6, "T": 9, "L": 9, **dict(zip("ohlcv", bar, strict=True))},
            },
        }
        for time, bar in zip(OPENS, BARS, strict=True)
    ]

    assert_the_bars(read(tmp_path, "\n".join(map(json.dumps, lines)), "bars.jsonl"))
