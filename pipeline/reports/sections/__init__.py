"""The sections of the report, a file each: a new one is a new file here that names its ``SECTION``."""
