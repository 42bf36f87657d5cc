"""Vocabulary as data: one folder of YAML tables per channel; no code, see README.md."""
