"""Bounds of the margin of every class of one sample."""

from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import keras

    from decomon.models import DecomonModel

__all__ = ["ClassMargins", "check_methods", "class_margins"]

Bounds = NDArray[np.float64]


def check_methods(methods: object) -> tuple[str, ...]:
    """Return names of methods that :func:`decomon.clone` knows.

    Raises
    ------
    ValueError
        If there is none, one that is unknown, or one twice.
    """
    names = (methods,) if isinstance(methods, str) else methods
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        raise ValueError(
            "methods must be names of methods, for example ('ibp', 'crown'). "
            f"Received: methods={methods!r}"
        )
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"methods must name one or more methods, each once. Received: methods={methods!r}"
        )
    from decomon.conversion import method_named  # takes seconds: not before there is a model

    for name in names:
        method_named(name)
    return tuple(names)


@final
class ClassMargins:
    """Bounds ``f_j - f_i`` for every class j, by several methods, over a box around one sample.

    The margins are bounded as rows that go through the network together, in double precision: one
    pass for each method gives both bounds of all classes. They are bounds in exact arithmetic;
    only :func:`decomon.certify` also looks at how far the model itself rounds. The model is
    converted once for each method, and again after its layers changed.

    Parameters
    ----------
    model
        The classifier: a Keras model, or a ``DecomonModel``, of which the model inside and the
        chosen output are taken. It is never modified, and new weights count at once.
    """

    def __init__(self, model: "keras.Model | DecomonModel") -> None:
        from decomon.models import DecomonModel  # takes seconds: not before there is a model

        inside = isinstance(model, DecomonModel)
        self._model: Any = model.model if inside else model
        self._output = model.output if inside else None
        self._verifiers: dict[str, DecomonModel] = {}

    def __call__(
        self,
        x: ArrayLike,
        label: int,
        epsilon: float,
        clip: tuple[float, float] | None = (0.0, 1.0),
        methods: tuple[str, ...] = ("ibp", "crown"),
    ) -> tuple[Bounds, Bounds]:
        """Bound the margins of one sample; see :func:`class_margins`."""
        from decomon import BallDomain
        from decomon.specs import check_classes, true_classes

        verifiers = [self._verifier(method) for method in check_methods(methods)]
        first = verifiers[0]
        n = check_classes("Margins", first.graph.output_shapes, first.signature)
        label = int(true_classes("label", np.asarray([label]), 1, n)[0])
        domain = BallDomain(np.asarray(x).reshape(1, -1), epsilon, clip=clip)
        others = np.delete(np.arange(n), label)
        rows = np.zeros((n - 1, n))
        rows[np.arange(n - 1), others] = 1
        rows[:, label] = -1
        # The margin of the label with itself is zero.
        lower, upper = np.zeros((2, len(verifiers), n))
        for position, verifier in enumerate(verifiers):
            found = verifier(domain, back_bounds=[rows])
            upper[position, others] = found.upper.numpy()[0]
            lower[position, others] = found.lower.numpy()[0]
        return lower, upper

    def _verifier(self, method: str) -> "DecomonModel":
        from decomon.models import clone

        known = self._verifiers.get(method)
        if known is None or not _up_to_date(known):
            known = clone(self._model, method, dtype="float64", output=self._output)
            self._verifiers[method] = known
        return known


def _up_to_date(verifier: "DecomonModel") -> bool:
    try:
        verifier.check_unchanged()
    except ValueError:
        return False
    return True


def class_margins(
    model: "keras.Model | DecomonModel",
    x: ArrayLike,
    label: int,
    epsilon: float,
    clip: tuple[float, float] | None = (0.0, 1.0),
    methods: tuple[str, ...] = ("ibp", "crown"),
) -> tuple[Bounds, Bounds]:
    """Bound the margins ``f_j - f_label`` of one sample, for every class j.

    Who asks more than once keeps a :class:`ClassMargins`: the model is converted only once then.

    Parameters
    ----------
    model
        The classifier: a Keras model or a ``DecomonModel``. It is never modified.
    x
        One sample, flat or of the shape of the model's input.
    label
        The class that must win.
    epsilon
        Radius of the perturbation: the domain is ``clip(x ± epsilon)``.
    clip
        Smallest and largest value that an input may have, None for no limit.
    methods
        Names of methods, as for :func:`decomon.clone`.

    Returns
    -------
    lower, upper : numpy.ndarray
        Of logits, in double precision, of shape `(methods, classes)`; zero for the label itself.

    Raises
    ------
    ValueError
        If an argument is unusable.
    decomon.UnsupportedModelError
        If the model has layers without a certified rule.
    decomon.NonFiniteBoundError
        If the arithmetic overflowed.
    """
    return ClassMargins(model)(x, label, epsilon, clip, methods)
