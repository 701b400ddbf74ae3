"""Tuning: search spaces are searched, each trial is judged on purged inner folds, and every look is remembered."""
