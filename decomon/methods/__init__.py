"""The methods: how bounds travel through a graph."""

from decomon.methods.propagation import Method
from decomon.methods.rules import CrownRule, ForwardRule, IntervalRule

_INTERVAL, _CROWN = IntervalRule(), CrownRule()
_AFFINE, _HYBRID = ForwardRule(hybrid=False), ForwardRule(hybrid=True)

METHODS = {
    method.name: method
    for method in (
        Method("forward-ibp", _INTERVAL, _INTERVAL),
        Method("forward-affine", _AFFINE, _AFFINE),
        Method("forward-hybrid", _HYBRID, _HYBRID),
        Method("crown-forward-ibp", _INTERVAL, _CROWN),
        Method("crown-forward-affine", _AFFINE, _CROWN),
        Method("crown-forward-hybrid", _HYBRID, _CROWN),
        Method("crown", _CROWN, _CROWN),
    )
}
"""Every method by its name."""

ALIASES = {
    "ibp": "forward-ibp",
    "forward": "forward-affine",
    "hybrid": "forward-hybrid",
    "crown-ibp": "crown-forward-ibp",
    "crown-forward": "crown-forward-affine",
    "crown-hybrid": "crown-forward-hybrid",
}
"""Short names."""

__all__ = ["ALIASES", "METHODS", "Method"]
