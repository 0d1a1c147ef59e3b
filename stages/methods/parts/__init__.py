"""Parts that several methods share. None of them is a method."""
