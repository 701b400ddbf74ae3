"""Untrusted text made fit for a terminal, a log or a page: names of files, columns, contracts and cells."""

import unicodedata

__all__ = ["shown"]

# Control and format characters (among them terminal escapes and the marks that turn text around), lone surrogates
# (bytes of a file name that are not UTF-8), private and unassigned ones, and line separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def shown(text: str, *, lines: bool = False) -> str:
    r"""Text with every character that can't be printed as itself written as an escape (``\x1b``, ``\u202e``).

    Safe to apply twice: what it returns it leaves alone. ``lines`` leaves line breaks, in a text of several lines.
    """
    if text.isascii() and text.isprintable():
        return text
    if lines:
        return "\n".join(map(shown, text.split("\n")))
    return "".join(_escaped(each) if unicodedata.category(each) in _HIDDEN else each for each in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that Python could not decode
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return {"\t": "\\t", "\n": "\\n", "\r": "\\r"}.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
