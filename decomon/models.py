"""From a Keras model to something that bounds it."""

from __future__ import annotations

import threading
from typing import Any, final
from weakref import WeakKeyDictionary

from decomon._backend import keras
from decomon.conversion import SLOPES, check_rate, convert, method_named
from decomon.decomon_model import DecomonModel
from decomon.domains import Domain
from decomon.inspection import Fingerprint
from decomon.signature import Signature
from decomon.verifier import Verifier

__all__ = [
    "SLOPES",
    "DecomonModel",
    "check_rate",
    "clone",
    "convert",
    "method_named",
    "signature_of",
    "verifier_of",
]


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
    rm_last_softmax: bool = True,
    memory_limit: int | None = None,
    back_bounds: Any = None,
    final_ibp: bool | None = None,
    final_affine: bool | None = None,
    name: str | None = None,
) -> DecomonModel:
    """Make a verifier of a Keras model; the model keeps its variables, name and nodes.

    Parameters
    ----------
    model : keras.Model
        A built Sequential or Functional model, nested models included.
    method : str
        How bounds are computed.

        =========================  ===================================================  =========
        ``forward-ibp``            interval arithmetic (Gowal et al. 2018)              loosest
        ``forward-affine``         affine bounds in the input, layer by layer
        ``forward-hybrid``         both, intersected (Xu et al. 2020)
        ``crown-forward-ibp``      backward from the outputs, intervals inside          fast
                                   (Zhang et al. 2020)
        ``crown-forward-affine``   backward from the outputs, affine bounds inside
        ``crown-forward-hybrid``   backward from the outputs, both inside               balanced
        ``crown``                  backward from every layer (Zhang et al. 2018)        tightest
        =========================  ===================================================  =========

        ``decomon.methods.METHODS[name].description`` says what each computes, what it costs and
        when to choose it.
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
        The kind of input sets that questions will be about, such as ``decomon.BallDomain``.  It
        is checked and changes nothing: every model serves every kind.
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
    rm_last_softmax : bool
        Whether to strip a final softmax or sigmoid and bound the logits, which are what decides
        margins.  False bounds what comes out of it.  Of several outputs, nothing is stripped.
    memory_limit : int, optional
        About how many bytes a question may use, besides the model, what is asked and the answer; by
        default a quarter of what is free now.  Work is cut into pieces that fit, which changes
        no bound.  Where optimising the bounds of hidden neurons does not fit for a single sample,
        only the relaxations that the rows of the output see are optimised.
    back_bounds : list or dict, optional
        Linear specifications: for each output that is bounded, in order or by name, a matrix ``C``
        of shape ``(spec, *output_shape)`` or ``(batch, spec, *output_shape)``, or None for the
        output itself.  A call then bounds ``C . f``, through the network, which is tighter than
        to combine bounds of ``f``.  The functions ``get_*`` are about the outputs themselves
        and refuse such a model.
    final_ibp : bool, optional
        Whether a call returns ``lower`` and ``upper``; by default it does.
    final_affine : bool, optional
        Whether a call returns the coefficients ``w_l, b_l, w_u, b_u``; by default it does if the
        method has them, as all but ``forward-ibp`` do.
    name : str, optional
        Of the new model.

    Returns
    -------
    DecomonModel

    Raises
    ------
    TypeError
        If ``model`` is not a Keras model to bound.
    ValueError
        If an option is unknown, or the model is not built.
    UnsupportedModelError
        If the model contains layers without a certified rule; all of them are listed.

    Examples
    --------
    >>> verified = clone(model, method="hybrid", finetune=True)
    >>> decomon.get_adv_box(verified, x - 0.01, x + 0.01, labels) < 0
    >>> verified(decomon.BallDomain(x, 0.1, p=2)).upper
    """
    return DecomonModel(
        model,
        method,
        finetune,
        slope,
        perturbation_domain,
        finetune_steps=finetune_steps,
        learning_rate=learning_rate,
        dtype=dtype,
        output=output,
        rm_last_softmax=rm_last_softmax,
        memory_limit=memory_limit,
        back_bounds=back_bounds,
        final_ibp=final_ibp,
        final_affine=final_affine,
        name=name,
    )


@final
class _Cache:
    """Converted Keras models.  Entries vanish with their models, and when the layers change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: WeakKeyDictionary[Any, tuple[Fingerprint, Verifier]] = WeakKeyDictionary()

    def verifier(self, model: Any) -> Verifier:
        if not isinstance(model, keras.Model):
            return convert(model)  # raises the error that says what was received
        now = Fingerprint.of(model)
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

    Raises
    ------
    ValueError
        If the DecomonModel bounds something else than the outputs of its model, or the layers
        of the model have changed since it was cloned.
    """
    if isinstance(model, DecomonModel):
        if model.back_bounds is not None:
            raise ValueError(
                "This model was cloned with back_bounds, so it bounds linear functions of the "
                "outputs, and this function is about the outputs themselves. Call it, "
                "verified(domain), or clone it again without back_bounds. "
                f"Received: {model!r} with back_bounds"
            )
        model.check_unchanged()
        return model.verifier
    return _CACHE.verifier(model)


def signature_of(model: Any) -> Signature:
    """Return the inputs and outputs of a DecomonModel or of a built Keras model."""
    return model.signature if isinstance(model, DecomonModel) else Signature.of(model)
