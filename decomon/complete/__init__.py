"""Complete verification: attack, bounds, and branch and bound."""
