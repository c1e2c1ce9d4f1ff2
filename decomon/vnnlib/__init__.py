"""Properties in the VNN-LIB format: reading and deciding them."""

from decomon.vnnlib.properties import Case, Conditions, VnnlibError, VnnlibProperty
from decomon.vnnlib.reading import read_vnnlib
from decomon.vnnlib.verifying import Status, VnnlibResult, verify_vnnlib

__all__ = [
    "Case",
    "Conditions",
    "Status",
    "VnnlibError",
    "VnnlibProperty",
    "VnnlibResult",
    "read_vnnlib",
    "verify_vnnlib",
]
