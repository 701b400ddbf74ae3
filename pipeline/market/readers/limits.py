"""Limits on how much of a file is read, against files made to fill the memory; far above what real data needs.

Ten years of 1-minute bars around the clock are 5.3 million rows and, as Binance writes them, 0.7 GiB of text. Trades
are read in chunks and may be of any size.
"""

__all__ = [
    "MAX_COLUMNS",
    "MAX_DOCUMENT_BYTES",
    "MAX_EXPANSION",
    "MAX_FILES",
    "MAX_FOLDER_ENTRIES",
    "MAX_LINE_BYTES",
    "MAX_ROWS",
    "MAX_TEXT_BYTES",
    "MIB",
]

MIB = 1 << 20

MAX_TEXT_BYTES = 1024 * MIB  # of a text file of bars, unpacked
MAX_DOCUMENT_BYTES = 512 * MIB  # of JSON or Excel, unpacked: it becomes Python objects several times as large
MAX_LINE_BYTES = MIB  # of a text's line
MAX_COLUMNS = 10_000
MAX_ROWS = 50_000_000  # of one file of bars

# Packed data may grow this much. Text of bars and trades packs to a third or a tenth of its size; gzip's most is 1,032.
MAX_EXPANSION = 200
EXPANSION_FROM = 64 * MIB  # below this size any growth is harmless

MAX_FILES = 50_000  # that a folder or a glob stands for
MAX_FOLDER_ENTRIES = 250_000  # that are scanned to find them
