"""The errors that are worth catching by name."""


class UnsupportedModelError(NotImplementedError, ValueError):
    """The model contains something that has no certified rule.

    The message lists every such layer at once, each with the reason.  It is a
    ``NotImplementedError`` because a rule can be added, and a ``ValueError`` because the model was
    an argument.
    """


class NonFiniteBoundError(ArithmeticError):
    """A computed bound is not a number, so nothing was proven.

    Raised when the arithmetic overflows, for instance because weights or inputs are huge; the
    message names the layer.
    """


class DomainError(NonFiniteBoundError):
    """A function of the network is not defined on all values that its argument can take.

    Raised for the logarithm, roots, the reciprocal and division, when the interval of their
    argument leaves the domain of the function.  The interval may be wider than the values that
    the network really takes: then a smaller box, a tighter method or more pieces
    (``n_sub_boxes``) help.
    """
