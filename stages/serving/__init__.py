"""Serving: one frozen model answers for many trained prefixes, all of them in one batch (section 8 of the paper)."""
