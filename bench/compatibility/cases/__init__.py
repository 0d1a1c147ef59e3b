"""The configurations that are tried: small, with each architecture's particulars switched on."""
