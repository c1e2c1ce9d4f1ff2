"""One-dimensional functions as data, and the families that bound them."""
