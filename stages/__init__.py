"""Prefix-tuning as a declarative pipeline: one file per DVC stage, libraries in the sub-packages."""
