"""What the files of several tasks share: downloads, rows, the Hugging Face hub, and the types of their sources."""
