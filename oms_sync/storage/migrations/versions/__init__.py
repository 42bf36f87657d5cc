"""Each revision once, never edited after a release."""
