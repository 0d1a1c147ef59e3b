"""Every architecture that a user may bring, as a tiny random checkpoint, against transformers itself."""
