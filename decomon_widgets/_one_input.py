"""Functions of one variable: their values, and certified bounds on pieces of an interval."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

    from decomon.models import DecomonModel

__all__ = ["OneInput", "Pieces", "method_names", "slope_names"]

Floats = NDArray[np.float64]


def _none() -> Floats:
    return np.empty(0)


@dataclass(frozen=True)
class Pieces:
    """Certified bounds of a function on `n` adjacent intervals; arrays over the intervals.

    Attributes
    ----------
    edges
        Ends of the intervals, increasing, of shape `(n + 1,)`.
    lower, upper
        Numbers that the function stays between, of shape `(n,)`.
    lower_slope, lower_offset, upper_slope, upper_offset
        Lines ``slope * x + offset`` that the function stays between, of shape `(n,)`; empty if
        the method computes none.
    """

    edges: Floats = field(default_factory=_none)
    lower: Floats = field(default_factory=_none)
    upper: Floats = field(default_factory=_none)
    lower_slope: Floats = field(default_factory=_none)
    lower_offset: Floats = field(default_factory=_none)
    upper_slope: Floats = field(default_factory=_none)
    upper_offset: Floats = field(default_factory=_none)

    def records(self) -> list[dict[str, Any]]:
        """One dictionary for each interval; numbers of lines are None if there are no lines."""
        names = ("lower_slope", "lower_offset", "upper_slope", "upper_offset")
        lines = {name: getattr(self, name) for name in names}
        return [
            {
                "low": float(self.edges[k]),
                "high": float(self.edges[k + 1]),
                "lower": float(self.lower[k]),
                "upper": float(self.upper[k]),
                **{n: float(line[k]) if len(line) else None for n, line in lines.items()},
            }
            for k in range(len(self.lower))
        ]


class OneInput:
    """A Keras model with one number as its input and one as its output.

    Parameters
    ----------
    model
        The model. It is never modified.
    name
        How it is called.
    method, slope, finetune
        How it is bounded unless something else is asked for, as of :func:`decomon.clone`.
    """

    def __init__(
        self,
        model: "keras.Model",
        name: str,
        method: str = "crown",
        slope: str = "volume-slope",
        *,
        finetune: bool = False,
    ) -> None:
        import decomon  # takes seconds: not before there is a model
        from decomon.models import signature_of

        # Says what is wrong with a model that cannot be bounded.
        decomon.clone(model, "forward-ibp", rm_last_softmax=False)
        ports = {"input": signature_of(model).inputs, "output": signature_of(model).outputs}
        for what, found in ports.items():
            shapes = [port.shape for port in found]
            if len(found) != 1 or None in shapes[0] or math.prod(shapes[0]) != 1:
                raise ValueError(
                    f"The function must have one number as its {what}, so one {what} of shape "
                    f"(1,) or (). Received: {what} of shape {', '.join(map(str, shapes))}"
                )
        self.model = model
        self.name = name
        self.method = method
        self.slope = slope
        self._finetune = finetune
        self._shape = ports["input"][0].shape
        self._verified: dict[tuple[str, str], DecomonModel] = {}

    @classmethod
    def of(cls, function: Any) -> "OneInput":
        """Make one of a ``keras.Model``, a ``DecomonModel``, or a function made of Keras.

        Parameters
        ----------
        function
            A model, or what can be called on a ``keras.Input``: made of models, layers and
            functions of ``keras.ops``.

        Raises
        ------
        TypeError
            If it cannot be called.
        ValueError
            If it is not a function of one number, or is made of something else.
        """
        import keras

        from decomon.models import DecomonModel

        if isinstance(function, DecomonModel):
            model, name = function.model, function.model.name
            return cls(model, name, function.method, function.slope, finetune=function.finetune)
        if isinstance(function, keras.Model):
            return cls(function, function.name)
        if not callable(function):
            raise TypeError(
                "The function must be a keras.Model, or a Python function made of Keras models, "
                f"layers and keras.ops. Received: {function!r}"
            )
        name = getattr(function, "__name__", type(function).__name__)
        return cls(_traced(function, name), "f" if name == "<lambda>" else name)

    def values(self, x: Floats) -> Floats:
        """Run the real model; NaN where it is not defined.

        Parameters
        ----------
        x
            Inputs, of shape `(n,)`.
        """
        from decomon.replay import real_outputs

        outputs = real_outputs(self.model, [x.reshape(-1, *self._shape)])
        return outputs.reshape(-1).astype(np.float64)

    def bounds(self, edges: Floats, method: str, slope: str) -> Pieces:
        """Bound the function on each interval between two edges.

        Parameters
        ----------
        edges
            Increasing numbers, of shape `(n + 1,)`.
        method, slope
            As of :func:`decomon.clone`.

        Raises
        ------
        NonFiniteBoundError
            If the function is not defined everywhere on the intervals, or overflows.
        """
        import decomon

        ends = [part.reshape(-1, *self._shape) for part in (edges[:-1], edges[1:])]
        found = self._verifier(method, slope).predict(decomon.BoxDomain(*ends))
        lines = [found.w_l, found.b_l, found.w_u, found.b_u]
        return Pieces(
            edges,
            *(np.asarray(part, np.float64).reshape(-1) for part in (found.lower, found.upper)),
            *(np.asarray([] if p is None else p, np.float64).reshape(-1) for p in lines),
        )

    def _verifier(self, method: str, slope: str) -> "DecomonModel":
        import decomon

        key = (method, slope)
        if key not in self._verified:
            # Double precision: the rounding of the bounds themselves is far below a pixel.
            self._verified[key] = decomon.clone(
                self.model,
                method,
                self._finetune,
                slope,
                dtype="float64",
                rm_last_softmax=False,
            )
        return self._verified[key]


def method_names() -> tuple[str, ...]:
    """Names of the methods that :func:`decomon.clone` knows, from loose to tight."""
    from decomon.methods import METHODS

    return tuple(METHODS)


def slope_names() -> tuple[str, ...]:
    """Names of the rules for the lower line of a rectifier."""
    from decomon.models import SLOPES

    rules = list(SLOPES.values())
    # Some rules have two names.
    return tuple(name for k, (name, rule) in enumerate(SLOPES.items()) if rule not in rules[:k])


def _traced(function: Callable[[Any], Any], name: str) -> Any:
    import keras

    start = keras.Input((1,), name="x")
    try:
        end = function(start)
    except Exception as exception:
        raise ValueError(
            f"The function '{name}' cannot be read: it must be made of Keras models, layers and "
            "functions of keras.ops, such as keras.ops.sin. "
            f"Received: {type(exception).__name__}: {exception}"
        ) from exception
    if not isinstance(end, keras.KerasTensor):
        raise ValueError(
            f"The function '{name}' must return what Keras computes from its argument. "
            f"Received: {type(end).__name__}"
        )
    return keras.Model(start, end)
