"""File formats, one module each: a module of this package with a ``FORMAT`` is found automatically."""
