"""The Keras model that bounds another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, final

import numpy as np

from decomon._backend import Tensor, keras, tf
from decomon._tensors import size_of
from decomon.bounds import Interval
from decomon.conversion import chosen_output, convert
from decomon.diagnosis import check_bounds
from decomon.domains import Domain
from decomon.engine import Bounds
from decomon.graph import Graph, from_keras
from decomon.inner import InnerBounds
from decomon.inputs import batches, check_count, check_domain
from decomon.inspection import Fingerprint
from decomon.live import known_on, live_domain
from decomon.methods.rules import IntervalRule
from decomon.naming import called_elsewhere, node_names
from decomon.outputs import (
    OutputBounds,
    Specification,
    check_batch,
    joined,
    nothing,
    specifications,
    stacked_rows,
    two_sided,
)
from decomon.signature import Port, Signature
from decomon.table import node_lines
from decomon.verifier import Verifier

Intermediate: TypeAlias = Mapping[str, Interval | tuple[Any, Any]]
"""What is known of nodes: intervals, or pairs of ends, by name."""


@final
@dataclass(frozen=True)
class _Options:
    """What a DecomonModel was made with, in the words of its constructor."""

    finetune: bool
    slope: str
    finetune_steps: int
    output: int | None
    rm_last_softmax: bool
    memory_limit: int | None
    specs: tuple[Specification, ...]
    final_ibp: bool
    final_affine: bool


@final
class DecomonModel(keras.Model):
    """A Keras model that bounds the outputs of another one over sets of inputs.

    It is made by :func:`decomon.clone`, which explains the parameters.  Called on a
    :class:`~decomon.domains.Domain`, it returns :class:`~decomon.outputs.OutputBounds`.  Its
    weights are those of the bounded model, the same objects: bounds follow them at once, and
    gradients with respect to them flow through everything that is returned.

    ``fit`` and ``evaluate`` are of no use here, as there are no targets for bounds: train
    ``verified.model``, or lower the bounds in a loop of one's own with ``tf.GradientTape``.

    Attributes
    ----------
    model : the user's own model: shared, never changed
    verifier : the compiled engine

    Examples
    --------
    >>> verified = decomon.clone(model, "crown-ibp")
    >>> with tf.GradientTape() as tape:
    ...     bounds = verified(decomon.BoxDomain(x - 0.01, x + 0.01))
    ...     width = tf.reduce_mean(bounds.upper - bounds.lower)
    >>> gradients = tape.gradient(width, verified.trainable_variables)
    """

    def __init__(
        self,
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
        back_bounds: Any = None,
        final_ibp: bool | None = None,
        final_affine: bool | None = None,
        name: str | None = None,
    ) -> None:
        if isinstance(model, DecomonModel):
            raise TypeError(
                "Expected a keras.Model to bound. Of a DecomonModel, clone the model inside: "
                f"verified.model. Received: {model!r}"
            )
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
            rm_last_softmax=rm_last_softmax,
            memory_limit=memory_limit,
        )
        ibp, affine = _finals(verifier, final_ibp, final_affine)
        position = chosen_output(model, output)
        ports = _bounded(Signature.of(model), position)
        keras.Model.__init__(self, name=name, dtype=verifier.dtype.name)
        self.model = model
        self.verifier: Verifier = verifier
        self._fingerprint = Fingerprint.of(model)
        self._inner = InnerBounds(verifier)
        self._options = _Options(
            bool(finetune),
            slope,
            finetune_steps,
            position,
            bool(rm_last_softmax),
            memory_limit,
            specifications(back_bounds, ports, verifier),
            ibp,
            affine,
        )
        self.built = True

    @tf.autograph.experimental.do_not_convert
    def __call__(
        self, domain: Domain, *, back_bounds: Any = None, intermediate: Intermediate | None = None
    ) -> Any:
        """Bound the outputs over each set; works eagerly, in a ``tf.function`` and on a tape.

        Parameters
        ----------
        domain : Domain
            The input sets.  Parameters that are NumPy arrays or tensors with values are checked,
            and rounded outward to the types of the model and of the computation.  Symbolic ones
            are used as they are.  Sets of several inputs are sets of one flat input ``(batch, n)``.
        back_bounds : list or dict, optional
            Other linear specifications than those of :func:`decomon.clone`, in the same form.
        intermediate : dict, optional
            Intervals of nodes that are known to hold on these sets, by the names of
            :meth:`intermediate_bounds`; these nodes are not bounded again.  That the intervals
            hold is the caller's responsibility: bounds are only as true as they are.  Entries
            for inputs and outputs change nothing.

        Returns
        -------
        OutputBounds
            Of each output, in the structure of the model's outputs, if there are several.  They are
            bounds of logits, if ``stripped`` says so.

        Raises
        ------
        TypeError, ValueError
            If an argument is unusable.
        NonFiniteBoundError
            If the arithmetic overflowed or a function is not defined on the whole set; in a
            ``tf.function``, bounds are NaN then.

        Notes
        -----
        With ``finetune``, each bound is the best one of all steps, and its gradient is the one with
        the relaxations of that step held fixed.  In a ``tf.function`` all steps are unrolled and no
        sample stops early.
        """
        return self.call(domain, back_bounds=back_bounds, intermediate=intermediate)

    def call(
        self,
        domain: Domain,
        back_bounds: Any = None,
        intermediate: Intermediate | None = None,
    ) -> Any:
        """Bound the outputs over each set; see :meth:`__call__`."""
        specs = self._options.specs
        if back_bounds is not None:
            specs = specifications(back_bounds, self._ports, self.verifier)
        sets = self._live(domain, intermediate)
        batch = sets.tensors()[0].shape[0]
        if batch is not None:
            check_batch(specs, batch)
        bounds = self._bound(sets, specs)
        return self._structured(bounds)

    def predict(
        self,
        domain: Any,
        batch_size: int | None = None,
        *,
        progress: Callable[[int, int], object] | None = None,
    ) -> Any:
        """Bound the outputs over any number of sets, in batches; return NumPy arrays.

        Parameters
        ----------
        domain : Domain
            With parameters that have values.
        batch_size : int, optional
            How many sets to treat at once; by default, or -1, as many as fit the memory budget.
        progress : callable, optional
            Called as ``progress(done, total)`` after every batch.

        Returns
        -------
        As for a call, with arrays instead of tensors.
        """
        if not isinstance(domain, Domain):
            raise TypeError(
                "A DecomonModel predicts bounds over sets of inputs, such as "
                "decomon.BoxDomain(x_min, x_max). For the outputs at points, use "
                "verified.model.predict(x). "
                f"Received: {type(domain)}"
            )
        size = -1 if batch_size is None else check_count("batch_size", batch_size, minus_one=True)
        regions, specs = check_domain(domain, self.signature), self._options.specs
        check_batch(specs, len(regions))
        parts = [
            self._bound(self._live(regions.domain[part], None), [spec[part] for spec in specs])
            for part in batches(len(regions), size, self.verifier.sample_limit, progress)
        ] or [self._bound(self._live(regions.domain, None), [spec[:0] for spec in specs])]
        return self._structured([joined(each) for each in zip(*parts, strict=True)])

    def intermediate_bounds(
        self, domain: Domain, intermediate: Intermediate | None = None
    ) -> dict[str, Interval]:
        """Return an interval for the values of every node of the network over each input set.

        Parameters
        ----------
        domain : Domain
        intermediate : dict, optional
            What is known already, as for a call.

        Returns
        -------
        dict of Interval, by name, ends of shape ``(batch, *shape of the node)``
            Under the name of a layer: what comes out of it, activation included.  What a layer
            computes before its last op has the op in brackets too: of ``dense`` with an
            activation, ``"dense (Dense)"`` is what goes into the activation; of a layer that is
            called several times, the last call has the plain name.  :meth:`summary` lists all.
        """
        intervals = self._inner.intervals(self._live(domain, intermediate))
        return dict(zip(self._names, intervals, strict=True))

    def summary(
        self,
        line_length: int | None = None,
        *,
        print_fn: Callable[[str], object] | None = None,
    ) -> None:
        """Print every node of the network with its name, op, shape and how it is bounded.

        Intervals are said to be computed as they are for boxes; other sets may need more.

        Parameters
        ----------
        line_length : int, optional
            Where to cut lines; by default they are as long as they need.
        print_fn : callable, optional
            What to call with each line, instead of printing.
        """
        lines = [repr(self)]
        lines += [f"Input {name!r}: {shape}" for name, shape in self.input_shapes.items()]
        lines += [f"Output {name!r}: {shape}" for name, shape in self.output_shapes.items()]
        for port, spec in zip(self._ports, self._options.specs, strict=True):
            if not spec.own:
                lines.append(f"Bounded is C . f of {port.name!r}, with {spec.shape[0]} rows")
        lines += ["", *node_lines(self.verifier, self._names, self.slope)]
        show: Callable[[str], object] = print_fn or keras.src.utils.io_utils.print_msg
        for line in lines:
            show(line if line_length is None else line[:line_length])

    def check_unchanged(self) -> None:
        """Raise a ValueError if the layers of the model are not those that are bounded.

        New weights are always taken into account, other settings when a model is cloned.
        """
        if not Fingerprint.of(self.model).same(self._fingerprint):
            raise ValueError(
                "The layers of the model, or their settings, have changed since it was cloned, so "
                "bounds would be those of another network. Clone it again: "
                f"decomon.clone(verified.model, ...). Received: {self!r}"
            )

    @property
    def graph(self) -> Graph:
        """The network that is bounded."""
        return self.verifier.graph

    @property
    def method(self) -> str:
        """Full name of the method."""
        return self.verifier.method.name

    @property
    def slope(self) -> str:
        """Name of the starting slopes."""
        return self._options.slope

    @property
    def finetune(self) -> bool:
        """Whether relaxations are optimised."""
        return self._options.finetune

    @property
    def output(self) -> int | None:
        """Position of the output that is bounded, None for all of them."""
        return self._options.output

    @property
    def back_bounds(self) -> list[Any] | None:
        """The linear specifications, one per output that is bounded, or None if there are none."""
        specs = self._options.specs
        if all(spec.own for spec in specs):
            return None
        return [None if spec.own else np.asarray(spec.rows) for spec in specs]

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
        return {port.name: port.shape for port in self._ports}

    @property
    def signature(self) -> Signature:
        """The inputs and outputs of the model."""
        return Signature.of(self.model)

    def get_config(self) -> dict[str, Any]:
        """Return what :meth:`from_config` makes the same model of, but for values of weights."""
        options = self._options
        given = self.back_bounds
        if given is not None:
            given = [None if rows is None else rows.tolist() for rows in given]
        return {
            "name": self.name,
            "model": keras.saving.serialize_keras_object(self.model),
            "method": self.method,
            "finetune": options.finetune,
            "slope": options.slope,
            "finetune_steps": options.finetune_steps,
            "learning_rate": self.verifier.learning_rate,
            "dtype": self.verifier.dtype.name,
            "output": options.output,
            "rm_last_softmax": options.rm_last_softmax,
            "memory_limit": options.memory_limit,
            "back_bounds": given,
            "final_ibp": options.final_ibp,
            "final_affine": options.final_affine,
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> DecomonModel:
        """Make a model of what :meth:`get_config` returned."""
        inner = keras.saving.deserialize_keras_object(
            config["model"], custom_objects=custom_objects
        )
        return cls(**{**config, "model": inner})

    def __repr__(self) -> str:
        stripped = (
            f", final {self.stripped} stripped: bounds are on logits" if self.stripped else ""
        )
        return (
            f"<DecomonModel of {self.model.name!r}: method={self.method!r}, slope={self.slope!r}, "
            f"finetune={self.finetune}, dtype={self.verifier.dtype.name!r}{stripped}>"
        )

    @property
    def _ports(self) -> tuple[Port, ...]:
        return _bounded(self.signature, self.output)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """Names of all nodes.

        A layer that also leads to an output that is not bounded is said to be of this one: the last
        of its calls may be another one.
        """
        if self.output is None:
            return node_names(self.graph)
        whole, part = (from_keras(self.model, strip=False, output=o) for o in (None, self.output))
        extra = f"for {self._ports[0].name}"
        return node_names(self.graph, dict.fromkeys(called_elsewhere(whole, part), extra))

    def _live(self, domain: Domain, intermediate: Intermediate | None) -> Domain:
        """Return checked sets of tensors, with what is known on them."""
        self.check_unchanged()
        sets = live_domain(domain, self.signature, self.verifier)
        if intermediate is None:
            return sets
        return known_on(sets, intermediate, self._names, self.verifier)

    def _bound(self, sets: Domain, specs: Sequence[Specification]) -> list[OutputBounds]:
        """Bound what is specified of each output."""
        verifier, options = self.verifier, self._options
        batch = tf.shape(sets.tensors()[0])[0]
        rows = stacked_rows(specs, batch, self.output_shape, verifier.dtype)
        parts = verifier.pieces(rows)
        sets = verifier.prepared(sets, rows.shape[1])
        found: list[Bounds] = []
        if sets.tensors()[0].shape[0] == 0:
            found = [nothing(part, self.input_shape) for part in parts]
        elif not isinstance(verifier.method.final, IntervalRule):
            found = [verifier.bounds(sets, part) for part in parts]
        uppers = [part.upper for part in found] or [self._inner.upper(sets, p) for p in parts]
        upper = tf.concat(uppers, axis=1)
        if not tf.is_symbolic_tensor(upper):
            check_bounds(upper.numpy(), verifier, sets, 0)
        results = two_sided("lower", "upper", upper, specs) if options.final_ibp else {}
        if options.final_affine:
            offset = tf.concat([part.offset for part in found], axis=1)
            weights = tf.concat([part.weights for part in found], axis=1)
            results |= two_sided("b_l", "b_u", offset, specs)
            results |= two_sided("w_l", "w_u", weights, specs)
            for name in ("w_l", "w_u"):
                results[name] = [
                    self._by_input(part, spec)
                    for part, spec in zip(results[name], specs, strict=True)
                ]
        return [
            OutputBounds(**{name: parts[position] for name, parts in results.items()})
            for position in range(len(specs))
        ]

    def _by_input(self, weights: Tensor, spec: Specification) -> Any:
        """Cut coefficients of a flat input into those of each input, in the model's structure."""
        ports = self.signature.inputs
        if len(ports) == 1:
            return weights
        parts = tf.split(weights, [size_of(port.shape) for port in ports], axis=-1)
        shaped = [
            tf.reshape(part, [-1, *spec.shape, *port.shape])
            for part, port in zip(parts, ports, strict=True)
        ]
        return keras.tree.pack_sequence_as(self.model.input, shaped)

    def _structured(self, bounds: Sequence[OutputBounds]) -> Any:
        """Put one result per output into the structure of the model's outputs."""
        if len(bounds) == 1:
            return bounds[0]
        return keras.tree.pack_sequence_as(self.model.output, list(bounds))


def _bounded(signature: Signature, position: int | None) -> tuple[Port, ...]:
    ports = signature.outputs
    return ports if position is None else (ports[position],)


def _finals(
    verifier: Verifier, final_ibp: bool | None, final_affine: bool | None
) -> tuple[bool, bool]:
    """Say which of the bounds and of the coefficients a call returns."""
    for name, flag in (("final_ibp", final_ibp), ("final_affine", final_affine)):
        if flag not in (None, False, True):
            raise ValueError(f"{name} must be True, False or None. Received: {name}={flag!r}")
    intervals = isinstance(verifier.method.final, IntervalRule)
    if final_affine and intervals:
        raise ValueError(
            f"Method {verifier.method.name!r} computes no affine bounds: choose another method, "
            f"such as 'forward-affine', or final_affine=None. "
            f"Received: final_affine={final_affine!r}"
        )
    ibp = final_ibp is None or bool(final_ibp)
    affine = not intervals if final_affine is None else bool(final_affine)
    if not (ibp or affine):
        raise ValueError(
            "final_ibp (lower, upper) or final_affine (w_l, b_l, w_u, b_u) must be True, otherwise "
            f"nothing is returned. Received: final_ibp={final_ibp!r}, "
            f"final_affine={final_affine!r} with method {verifier.method.name!r}"
        )
    return ibp, affine


keras.saving.register_keras_serializable(package="decomon")(DecomonModel)
