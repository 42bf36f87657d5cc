"""The pipeline, one arrow per file; flows meet only in the database."""
