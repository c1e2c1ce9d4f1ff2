"""Layer configurations by topic."""
