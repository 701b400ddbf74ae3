"""Text from outside, made safe to show: names in files, columns, contracts, paths, other programs' messages.

A terminal obeys escape codes, a bidirectional override turns the rest of a line round, and a lone surrogate can't be
written at all. Whatever a program prints, logs, draws or writes into a page goes through :func:`shown`.
"""

import unicodedata

__all__ = ["shown"]


def shown(text: object, *, lines: bool = False) -> str:
    r"""Replace every character that is no visible one by its escape, such as ``\x1b``, as :func:`repr` does.

    Parameters
    ----------
    text
        Shown as ``str`` has it.
    lines
        Leave line breaks as they are, in a text of several lines.

    Returns
    -------
    str
        Text without control and format characters, surrogates, private and unassigned characters.
    """
    whole = str(text)
    if whole.isprintable():
        return whole
    return "".join(letter if _visible(letter, lines=lines) else repr(letter)[1:-1] for letter in whole)


def _visible(letter: str, *, lines: bool) -> bool:
    # Spaces of other widths than the usual one are not printable to Python, and harmless.
    return letter.isprintable() or unicodedata.category(letter) == "Zs" or (lines and letter == "\n")
