"""Training and decoding of any method on any frozen language model."""
