"""The methods: how bounds travel through a graph.

Every method bounds every kind of network over every kind of input set.  They differ in how tight
the bounds are, and in what they cost; ``METHODS[name].description`` says so of each.  Where several
will do: begin with ``crown``; if it takes too long, ``crown-forward-hybrid``; for training and for
first looks, ``forward-ibp`` or ``crown-forward-ibp``.

Costs are for a network of ``L`` layers of ``n`` neurons with ``d`` inputs and ``k`` outputs, in
units of one evaluation of the network.
"""

from decomon.methods.propagation import Method, Rule, State
from decomon.methods.rules import CrownRule, ForwardRule, IntervalRule

_INTERVAL, _CROWN = IntervalRule(), CrownRule()
_AFFINE, _HYBRID = ForwardRule(hybrid=False), ForwardRule(hybrid=True)

RULES: dict[Rule, str] = {
    _INTERVAL: "interval arithmetic",
    _AFFINE: "forward affine bounds",
    _HYBRID: "forward affine bounds and interval arithmetic",
    _CROWN: "crown and interval arithmetic",
}
"""What intervals are computed by, in words."""

METHODS = {
    method.name: method
    for method in (
        Method(
            "forward-ibp",
            _INTERVAL,
            _INTERVAL,
            """Interval arithmetic (Gowal et al. 2018): every layer maps the interval of each neuron
            to an interval; how neurons depend on one another is lost, so bounds widen with every
            layer.  The rows that are asked for are taken through the affine ops at the end of the
            network first.  It computes no affine bounds and has no slopes.

            Cost: about 2 evaluations, memory of an evaluation.

            Choose it for certified training, for networks that were trained with it, for huge
            networks, and as a first look; on others it proves little.""",
        ),
        Method(
            "forward-affine",
            _AFFINE,
            _AFFINE,
            """Affine bounds in the input, carried from layer to layer: each nonlinear node is
            relaxed between two lines on its interval, and the affine bounds of its inputs are
            put into them (Xu et al. 2020, forward mode).  Intervals come from these bounds alone.

            Cost: about 2 d evaluations, at most n; memory of 2 d numbers per neuron.

            Choose it for few inputs and many outputs, where going back from each output would cost
            more, or when affine bounds of inner layers are of interest.""",
        ),
        Method(
            "forward-hybrid",
            _HYBRID,
            _HYBRID,
            """As ``forward-affine``, with every interval intersected with the one of interval
            arithmetic (Xu et al. 2020, section 3): on every node at least as tight as the
            better of both, given the same intervals before it.

            Cost: that of ``forward-affine``; interval arithmetic adds next to nothing.

            Choose it instead of ``forward-affine`` unless its bounds must be those of affine
            functions alone.""",
        ),
        Method(
            "crown-forward-ibp",
            _INTERVAL,
            _CROWN,
            """Interval arithmetic up to the output, then one backward substitution of the rows that
            are asked for, down to the input (CROWN-IBP, Zhang et al. 2020).

            Cost: about 2 k evaluations, which does not grow with the number of neurons.

            Choose it for certified training, for deep or wide networks with few outputs, and with
            ``intermediate=`` when tighter intervals of the layers are known already.""",
        ),
        Method(
            "crown-forward-affine",
            _AFFINE,
            _CROWN,
            """Forward affine bounds up to the output, then one backward substitution of the rows.

            Cost: that of ``forward-affine`` and about 2 k evaluations.

            Choose it where ``crown`` is too slow and there are few inputs; the hybrid is tighter
            on most networks.""",
        ),
        Method(
            "crown-forward-hybrid",
            _HYBRID,
            _CROWN,
            """Forward affine bounds, intersected with interval arithmetic, up to the output, then
            one backward substitution of the rows.

            Cost: that of ``crown-forward-affine``.

            Choose it where ``crown`` is too slow: for deep networks it is close to it, at a
            cost that is linear in the depth, not quadratic.""",
        ),
        Method(
            "crown",
            _CROWN,
            _CROWN,
            """A backward substitution from every node that a relaxation needs the interval of, down
            to the input, and from the rows (CROWN, Zhang et al. 2018).  Intervals are
            intersected with interval arithmetic, and neurons whose lines are settled by it are
            not bounded again.

            Cost: about L n evaluations at worst, quadratic in the depth, as one evaluation has L
            layers; memory for a limited number of rows at once.

            Choose it by default: its bounds are the tightest before optimisation (``finetune``,
            alpha-CROWN), and the best start of one.""",
        ),
    )
}
"""Every method by its name."""

ALIASES = {
    "ibp": "forward-ibp",
    "forward": "forward-affine",
    "hybrid": "forward-hybrid",
    "crown-ibp": "crown-forward-ibp",
    "crown-forward": "crown-forward-affine",
    "crown-hybrid": "crown-forward-hybrid",
}
"""Short names."""

__all__ = ["ALIASES", "METHODS", "RULES", "IntervalRule", "Method", "Rule", "State"]
