"""A look-alike of Amazon's Selling Partner API for tests, demonstrations and first steps."""
