"""Sets of inputs.

A domain knows a box around it, the maximum of a linear function over it, and how to project, sample
and split.  Nothing outside this package looks at what kind of set it is.
"""

from decomon.domains._base import Domain
from decomon.domains.affine import AffineDomain, brightness, contrast
from decomon.domains.ball import BallDomain
from decomon.domains.box import BoxDomain
from decomon.domains.grid import GridDomain
from decomon.domains.vertex import VertexDomain

__all__ = [
    "AffineDomain",
    "BallDomain",
    "BoxDomain",
    "Domain",
    "GridDomain",
    "VertexDomain",
    "brightness",
    "contrast",
]
