"""What several methods are made of; no method itself."""
