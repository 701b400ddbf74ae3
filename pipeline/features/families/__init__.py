"""One file per family of features; a new file here is found automatically."""
