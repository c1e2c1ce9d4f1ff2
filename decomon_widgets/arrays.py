"""Traits for what NumPy makes: arrays, which travel as binary buffers, indices and numbers."""

import numbers
import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import traitlets
from ipywidgets.widgets.trait_types import TypedTuple
from numpy.typing import DTypeLike, NDArray

__all__ = ["ArrayTrait", "FloatTrait", "IndicesTrait", "IntTrait"]


class ArrayTrait(traitlets.TraitType[Any, Any]):
    """A one-dimensional, read-only array of one element type.

    Parameters
    ----------
    dtype
        Element type; on the wire it is little-endian.
    """

    info_text = "a one-dimensional array"

    def __init__(self, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        super().__init__(self._frozen(()))
        self.tag(sync=True, to_json=self._to_json, from_json=self._from_json)

    def _frozen(self, value: object) -> NDArray[Any]:
        array = np.array(value, self._dtype)
        array.setflags(write=False)
        return array

    def validate(self, obj: Any, value: object) -> NDArray[Any]:
        """Copy the value, so that nobody can change it behind the observers."""
        array = self._frozen(value)
        if array.ndim != 1:
            raise traitlets.TraitError(
                f"The '{self.name}' trait must have one dimension. Received: shape {array.shape}"
            )
        return array

    def set(self, obj: Any, value: object) -> None:
        """Assign; observers hear of it only if an element changed."""
        new = cast("NDArray[Any]", self._validate(obj, value))
        old = cast("NDArray[Any]", self.get(obj, type(obj)))
        if old.shape == new.shape and np.array_equal(old, new, equal_nan=self._dtype.kind == "f"):
            return
        obj._trait_values[self.name] = new
        obj._notify_trait(self.name, old, new)

    def _to_json(self, value: NDArray[Any], _widget: object) -> bytes:
        return value.astype(self._dtype.newbyteorder("<"), copy=False).tobytes()

    def _from_json(self, value: Any, _widget: object) -> NDArray[Any]:
        return np.frombuffer(value, self._dtype.newbyteorder("<"))


class FloatTrait(traitlets.Float):
    """A Python float; every real number may be assigned, NumPy's too, but no truth value."""

    def validate(self, obj: Any, value: Any) -> Any:
        """Turn the value into a Python float."""
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise traitlets.TraitError(
                f"{self.name} must be a number. Received: {self.name}={value!r}"
            )
        return super().validate(obj, float(value))


class IntTrait(traitlets.Int):
    """A Python integer; every integer may be assigned, NumPy's too, but no truth value."""

    def validate(self, obj: Any, value: Any) -> Any:
        """Turn the value into a Python integer."""
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise traitlets.TraitError(
                f"{self.name} must be an integer. Received: {self.name}={value!r}"
            )
        return super().validate(obj, int(value))


class IndicesTrait(TypedTuple):
    """A tuple of integers; any collection of them may be assigned, arrays and ranges too."""

    if TYPE_CHECKING:

        def __get__(self, obj: Any, cls: Any) -> Any: ...

        def __set__(self, obj: Any, value: Iterable[int]) -> None: ...

    def __init__(self) -> None:
        super().__init__(trait=traitlets.Int())
        self.tag(sync=True)

    def validate(self, obj: Any, value: Any) -> Any:
        """Turn the value into a tuple of Python integers."""
        try:
            indices = tuple(operator.index(item) for item in value)
        except TypeError:
            raise traitlets.TraitError(
                f"The '{self.name}' trait must be a sequence of integers. Received: {value!r}"
            ) from None
        return super().validate(obj, indices)
