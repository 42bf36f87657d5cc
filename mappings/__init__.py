"""Vocabulary as data: one folder of YAML tables per channel."""
