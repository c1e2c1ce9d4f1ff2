"""From a Keras model to the engine that bounds it: options checked, the graph read."""

from __future__ import annotations

from typing import Any

from decomon._backend import keras
from decomon.domains import Domain
from decomon.errors import UnsupportedModelError
from decomon.graph import from_keras
from decomon.inputs import check_count
from decomon.methods import ALIASES, METHODS, Method
from decomon.ops._base import SlopeRule
from decomon.ops.elementwise.slopes import LeftSlope, RightSlope, SameSlope, VolumeSlope
from decomon.signature import Signature
from decomon.verifier import Verifier

SLOPES: dict[str, SlopeRule] = {
    "volume-slope": VolumeSlope(),
    "adaptative-slope": VolumeSlope(),  # for ReLU, the adaptive choice is the one of least area
    "same-slope": SameSlope(),
    "zero-lb": LeftSlope(),
    "one-lb": RightSlope(),
}
"""Starting lower slopes of unstable neurons, by name."""


def convert(
    model: Any,
    method: str = "crown",
    finetune: bool = False,
    slope: str = "volume-slope",
    perturbation_domain: type[Domain] | None = None,
    *,
    finetune_steps: int = 20,
    learning_rate: float = 0.5,
    dtype: str | None = None,
    output: int | str | None = None,
    rm_last_softmax: bool = True,
    memory_limit: int | None = None,
) -> Verifier:
    """Make the compiled engine alone: domains and rows in, bounds out, all as tensors.

    The lower-level sibling of :func:`clone`, with the same parameters and errors.  It reads the
    model's layers but does not keep the model.
    """
    for name, flag in (("finetune", finetune), ("rm_last_softmax", rm_last_softmax)):
        if flag not in (False, True):
            raise ValueError(f"{name} must be True or False. Received: {name}={flag!r}")
    steps = check_count("finetune_steps", finetune_steps)
    rate = check_rate(learning_rate)
    _check_kind(perturbation_domain)
    if dtype not in (None, "float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64'. Received: dtype={dtype!r}")
    chosen, slopes = method_named(method), _named("slope", slope, SLOPES)
    graph = from_keras(model, strip=bool(rm_last_softmax), output=chosen_output(model, output))
    _check_inputs(model)
    return Verifier(
        graph,
        chosen,
        slopes,
        steps=steps if finetune else 0,
        learning_rate=rate,
        dtype=dtype or graph.dtype,
        memory_limit=None if memory_limit is None else check_count("memory_limit", memory_limit),
    )


def _check_kind(kind: Any) -> None:
    usable = kind is None or (isinstance(kind, type) and issubclass(kind, Domain))
    if not usable:
        raise ValueError(
            "perturbation_domain must be a class of input sets, such as decomon.BoxDomain, or "
            f"None. Received: {kind!r}"
        )


def _check_inputs(model: Any) -> None:
    """Refuse inputs that the model rounds to fewer digits than bounds are computed with."""
    if not _readable(model):
        return
    for port in Signature.of(model).inputs:
        if not (port.whole or port.dtype in ("float32", "float64")):
            raise UnsupportedModelError(
                f"Input {port.name!r} of model {model.name!r} must be of type float32, float64 or "
                "an integer type: bounds would not hold for what the model makes of other inputs. "
                f"Received: {port.dtype}"
            )


def _readable(model: Any) -> bool:
    """Whether a model has a graph; if not, the error comes from where it is read."""
    if isinstance(model, keras.Sequential):
        return model.built and getattr(model, "outputs", None) is not None
    return isinstance(model, keras.Model) and isinstance(model, keras.Function)


def chosen_output(model: Any, output: int | str | None) -> int | None:
    """Return the position of the chosen output; None if all are wanted, or the only one."""
    if output is None or not _readable(model):
        return None
    names = [port.name for port in Signature.of(model).outputs]
    count, position = len(names), None
    if isinstance(output, str) and names.count(output) == 1:
        position = names.index(output)
    elif isinstance(output, int) and not isinstance(output, bool) and -count <= output < count:
        position = output % count
    if position is None:
        twice = " That name is not unique." if output in names else ""
        raise ValueError(
            f"output must be a position from 0 to {count - 1} or one of the names "
            f"{', '.join(map(repr, names))}.{twice} Received: output={output!r}"
        )
    return None if count == 1 else position


def method_named(name: str) -> Method:
    """Return a method by its name or short name; ValueError if there is none."""
    known = {**METHODS, **{alias: METHODS[target] for alias, target in ALIASES.items()}}
    return _named("method", name, known)


def plain_crown(verifier: Verifier) -> Verifier:
    """Return a verifier of the same network and dtype that starts from plain CROWN; made once."""
    method, slopes = method_named("crown"), SLOPES["volume-slope"]
    if (verifier.method, verifier.slopes, verifier.steps) == (method, slopes, 0):
        return verifier
    memory, dtype = verifier.budget.memory, verifier.dtype.name
    return verifier.kept(
        plain_crown,
        lambda: Verifier(verifier.graph, method, slopes, dtype=dtype, memory_limit=memory),
    )


def _named(argument: str, name: Any, known: dict[str, Any]) -> Any:
    if not isinstance(name, str) or name not in known:
        raise ValueError(
            f"Unknown {argument}. Choose one of: {', '.join(known)}. Received: {argument}={name!r}"
        )
    return known[name]


def check_rate(value: Any) -> float:
    """Return a learning rate; ValueError if it is not a positive, finite number."""
    rate = float(value) if isinstance(value, (int, float)) else 0.0
    if isinstance(value, bool) or not 0 < rate < float("inf"):
        raise ValueError(
            f"learning_rate must be a positive, finite number. Received: learning_rate={value!r}"
        )
    return rate
