"""Sections of the report of a desk, a file each."""
