"""Text files with a line of column names, or with the names in the options."""

from pipeline.market.readers.source import Format, Head
from pipeline.market.readers.text_file import text_source

__all__ = ["FORMAT"]


def recognises(head: Head) -> bool:
    """Return True if the first line looks like names: two fields or more, none beginning with a digit."""
    if not head.lines or head.lines[0].lstrip()[:1] in ("[", "{", "<?"):
        return False
    return len(head.fields) > 1 and not any(field[:1].isdigit() for field in head.fields)


FORMAT = Format("generic_csv", recognises, text_source, priority=90)
