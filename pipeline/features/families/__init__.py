"""One file a family of features; a file put here is found by itself."""
