"""The web board: a static site made from records alone, opened from a file, which asks no other address."""
