"""From a Keras model to something that bounds it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, final
from weakref import WeakKeyDictionary

from decomon._backend import keras
from decomon.bounds import Interval
from decomon.domains import BoxDomain, Domain
from decomon.errors import UnsupportedModelError
from decomon.graph import Graph, from_keras
from decomon.inputs import check_count
from decomon.inspection import all_layers, layer_settings
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


@final
@dataclass(frozen=True)
class DecomonModel:
    """A Keras model together with the way its outputs are bounded.  Made by :func:`clone`.

    Attributes
    ----------
    model : the user's own model: shared, never changed; new weights take effect at once
    verifier : the compiled engine
    slope : name of the starting slopes
    finetune : whether relaxations are optimised
    output : position of the output that is bounded, None for all of them
    """

    model: Any
    verifier: Verifier
    slope: str
    finetune: bool
    output: int | None = None

    @property
    def graph(self) -> Graph:
        """The network that is bounded."""
        return self.verifier.graph

    @property
    def method(self) -> str:
        """Full name of the method."""
        return self.verifier.method.name

    @property
    def stripped(self) -> str:
        """The final activation that was removed, "softmax" or "sigmoid", or an empty string.

        Bounds are on the logits then.
        """
        return self.graph.stripped

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without batch axis; several inputs follow one another, ``(n,)``."""
        return self.graph.input_shape

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every input by its name, in the order of ``model.inputs``."""
        return {port.name: port.shape for port in self.signature.inputs}

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one output, without batch axis; several outputs follow one another, ``(n,)``."""
        return self.graph.output_shape

    @property
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every output that is bounded by its name, in the order of ``model.outputs``."""
        ports = self.signature.outputs
        chosen = ports if self.output is None else (ports[self.output],)
        return {port.name: port.shape for port in chosen}

    @property
    def signature(self) -> Signature:
        """The inputs and outputs of the model."""
        return Signature.of(self.model)

    def intermediate_bounds(self, domain: Domain) -> dict[str, Interval]:
        """Return the interval of every layer's output by layer name.

        A layer with a fused activation is listed by what comes out of the activation.  Domains of
        a model with several inputs are sets of the flat input, shape ``(batch, n)``.
        """
        intervals = self.verifier.intervals(domain)
        return {n.name: i for n, i in zip(self.graph.nodes, intervals, strict=True)}

    def summary(self) -> str:
        """Return a table of the nodes, one line each."""
        lines = [f"{self!r}"]
        lines += [f"  input {name!r}: {shape}" for name, shape in self.input_shapes.items()]
        lines += [f"  output {name!r}: {shape}" for name, shape in self.output_shapes.items()]
        for index, node in enumerate(self.graph.nodes):
            kind = "input" if node.op is None else type(node.op).__name__
            lines.append(f"{index:4d}  {node.name:30s} {kind:20s} {node.shape}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        stripped = (
            f", final {self.stripped} stripped: bounds are on logits" if self.stripped else ""
        )
        return (
            f"<DecomonModel of {self.model.name!r}: method={self.method!r}, slope={self.slope!r}, "
            f"finetune={self.finetune}, dtype={self.verifier.dtype.name!r}{stripped}>"
        )


def clone(
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
    logits: bool = True,
) -> DecomonModel:
    """Make a verifier of a Keras model; the model keeps its variables, name and nodes.

    Parameters
    ----------
    model : keras.Model
        A built Sequential or Functional model, nested models included.
    method : str
        How bounds are computed.

        =========================  ========================================================
        ``forward-ibp``            interval arithmetic: fastest, loosest (Gowal et al. 2018)
        ``forward-affine``         affine bounds in the input, layer by layer
        ``forward-hybrid``         both, intersected (Xu et al. 2020)
        ``crown-forward-ibp``      backward from the output, intervals inside (Zhang et al. 2020)
        ``crown-forward-affine``   backward from the output, affine bounds inside
        ``crown-forward-hybrid``   backward from the output, both inside
        ``crown``                  backward from every layer: tightest (Zhang et al. 2018)
        =========================  ========================================================

        Short names: ``ibp, forward, hybrid, crown-ibp, crown-forward, crown-hybrid``.
    finetune : bool
        Optimise the lower slopes of unstable neurons for each sample and margin by projected
        gradient (Xu et al. 2021, alpha-CROWN) and keep the best bound of each: never looser.
        ``forward-ibp`` has no slopes, so this changes nothing there.
    slope : str
        Lower slope of an unstable ReLU before any optimisation: ``volume-slope`` (zero or one,
        whichever leaves the smaller area; ``adaptative-slope`` is the same), ``same-slope``
        (parallel to the chord), ``zero-lb``, ``one-lb``.
    perturbation_domain : type, optional
        The kind of input set: ``decomon.domains.BoxDomain``, which is the default.
    finetune_steps : int
        Number of gradient steps.
    learning_rate : float
        Size of the first steps, in units of slope.
    dtype : str, optional
        ``"float32"`` or ``"float64"``; by default the model's own.
    output : int or str, optional
        Which of several outputs to bound: its position in ``model.outputs`` or its name (the key,
        if the model's outputs are a dict, otherwise the name of its layer).  By default all of
        them, for ranges; margins and verdicts need one.
    logits : bool
        Whether to strip a final softmax or sigmoid and bound the logits, which are what decides
        margins.  False bounds what comes out of it.  Of several outputs, nothing is stripped.

    Returns
    -------
    DecomonModel

    Raises
    ------
    TypeError
        If ``model`` is not a Keras model.
    ValueError
        If an option is unknown, or the model is not built.
    UnsupportedModelError
        If the model contains layers without a certified rule; all of them are listed.

    Examples
    --------
    >>> verified = clone(model, method="hybrid", finetune=True)
    >>> decomon.get_adv_box(verified, x - 0.01, x + 0.01, labels) < 0
    """
    verifier = convert(
        model,
        method,
        finetune=finetune,
        slope=slope,
        perturbation_domain=perturbation_domain,
        finetune_steps=finetune_steps,
        learning_rate=learning_rate,
        dtype=dtype,
        output=output,
        logits=logits,
    )
    return DecomonModel(model, verifier, slope, bool(finetune), _position(model, output))


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
    logits: bool = True,
) -> Verifier:
    """Make the compiled engine alone: domains and rows in, bounds out, all as tensors.

    The lower-level sibling of :func:`clone`, with the same parameters and errors.  It reads the
    model's layers but does not keep the model.
    """
    for name, flag in (("finetune", finetune), ("logits", logits)):
        if flag not in (False, True):
            raise ValueError(f"{name} must be True or False. Received: {name}={flag!r}")
    steps = check_count("finetune_steps", finetune_steps)
    _check_rate(learning_rate)
    if perturbation_domain not in (None, BoxDomain):
        raise ValueError(
            "perturbation_domain must be decomon.domains.BoxDomain (the class) or None. "
            f"Received: {perturbation_domain!r}"
        )
    if dtype not in (None, "float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64'. Received: dtype={dtype!r}")
    chosen, slopes = method_named(method), _named("slope", slope, SLOPES)
    graph = from_keras(model, strip=bool(logits), output=_position(model, output))
    _check_inputs(model)
    return Verifier(
        graph,
        chosen,
        slopes,
        steps=steps if finetune else 0,
        learning_rate=float(learning_rate),
        dtype=dtype or graph.dtype,
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


def _position(model: Any, output: int | str | None) -> int | None:
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


def _named(argument: str, name: Any, known: dict[str, Any]) -> Any:
    if not isinstance(name, str) or name not in known:
        raise ValueError(
            f"Unknown {argument}. Choose one of: {', '.join(known)}. Received: {argument}={name!r}"
        )
    return known[name]


def _check_rate(value: Any) -> None:
    rate = float(value) if isinstance(value, (int, float)) else 0.0
    if isinstance(value, bool) or not 0 < rate < float("inf"):
        raise ValueError(
            f"learning_rate must be a positive, finite number. Received: learning_rate={value!r}"
        )


@final
@dataclass(frozen=True, eq=False)
class _Fingerprint:
    """What a conversion depends on, apart from the values of variables.

    It keeps the layers alive, so that the identity of one of them cannot be used again.
    """

    layers: tuple[Any, ...]
    settings: tuple[tuple[Any, ...], ...]

    def same(self, other: _Fingerprint) -> bool:
        """Say whether a conversion of one is a conversion of the other."""
        ours, theirs = (tuple(map(id, print_.layers)) for print_ in (self, other))
        return ours == theirs and self.settings == other.settings


def _fingerprint(model: Any) -> _Fingerprint:
    layers = all_layers(model)
    return _Fingerprint(layers, tuple(layer_settings(layer) for layer in layers))


@final
class _Cache:
    """Converted Keras models.  Entries vanish with their models, and when the layers change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: WeakKeyDictionary[Any, tuple[_Fingerprint, Verifier]] = WeakKeyDictionary()

    def verifier(self, model: Any) -> Verifier:
        if not isinstance(model, keras.Model):
            return convert(model)  # raises the error that says what was received
        now = _fingerprint(model)
        with self._lock:
            known = self._entries.get(model)
            if known is None or not known[0].same(now):
                known = (now, convert(model))
                self._entries[model] = known
            return known[1]


_CACHE = _Cache()


def verifier_of(model: Any) -> Verifier:
    """Return the engine of a DecomonModel, or of a Keras model, which is converted only once.

    A Keras model is bounded by ``crown`` with default options.
    """
    if isinstance(model, DecomonModel):
        return model.verifier
    return _CACHE.verifier(model)


def signature_of(model: Any) -> Signature:
    """Return the inputs and outputs of a DecomonModel or of a built Keras model."""
    return model.signature if isinstance(model, DecomonModel) else Signature.of(model)
