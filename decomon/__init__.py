"""Certified robustness for Keras models.

Given a set of inputs, decomon computes proven bounds on a network's outputs and decides whether its
label can change anywhere in the set.
"""

from decomon import domains, errors, methods, models, ops
from decomon.certify import Certificate, Verdict, certify
from decomon.domains import BoxDomain, Domain
from decomon.errors import DomainError, NonFiniteBoundError, UnsupportedModelError
from decomon.models import DecomonModel, clone, convert
from decomon.robustness import (
    LogitsWarning,
    check_adv_box,
    get_adv_box,
    get_lower_box,
    get_range_box,
    get_upper_box,
)

__all__ = [
    "BoxDomain",
    "Certificate",
    "DecomonModel",
    "Domain",
    "DomainError",
    "LogitsWarning",
    "NonFiniteBoundError",
    "UnsupportedModelError",
    "Verdict",
    "certify",
    "check_adv_box",
    "clone",
    "convert",
    "domains",
    "errors",
    "get_adv_box",
    "get_lower_box",
    "get_range_box",
    "get_upper_box",
    "methods",
    "models",
    "ops",
]
