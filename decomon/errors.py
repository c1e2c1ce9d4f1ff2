"""The errors that are worth catching by name."""


class UnsupportedModelError(NotImplementedError, ValueError):
    """The model contains something that has no certified rule.

    The message lists every such layer at once, each with the reason.  It is a
    ``NotImplementedError`` because a rule can be added, and a ``ValueError`` because the model was
    an argument.
    """


class NonFiniteBoundError(ArithmeticError):
    """A computed bound is not a number, so nothing was proven.

    Raised when the arithmetic overflows, for instance because weights or inputs are huge.
    """
