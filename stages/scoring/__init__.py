"""The official metrics, equal to the official scripts' numbers to the last digit that they print."""
