"""A grid of samples with the verdict of each one at the present epsilon."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, final

from numpy.typing import ArrayLike

from ._base import static_file
from ._live_samples import LiveSamples
from .jobs import Certify

if TYPE_CHECKING:
    import keras

    from decomon.models import DecomonModel

__all__ = ["SampleGrid"]


@final
class SampleGrid(LiveSamples):
    """Samples with their robustness verdicts, recomputed live when epsilon moves.

    Moving epsilon never blocks the kernel: a thread computes, and only the newest epsilon waits.
    Until its result is there, a sample shows the verdict that follows from earlier results (a proof
    holds for every smaller epsilon, a counterexample for every larger one), or "pending". When the
    model changes, for example by training, the next request forgets the results of the old one.

    Filter, order and selection need no kernel. Of many samples only those on the screen are drawn,
    so thousands are as smooth as ten.

    Parameters
    ----------
    model
        The classifier: a Keras model, or a ``DecomonModel``. It is never modified.
    x
        Inputs inside `clip`: images of shape `(N, height, width)` or
        `(N, height, width, channels)` with 1 or 3 channels, flat images or tabular rows of shape
        `(N, n)`, or signals of shape `(N, n, channels)`. Flat ones fit a model with shaped inputs,
        and the reverse.
    y
        Labels: class indices of shape `(N,)`, or one-hot of shape `(N, classes)`.
    n_samples
        Number of samples shown.
    columns
        Largest number of columns; a narrow page shows fewer.
    epsilon
        Radius of the perturbation: the domain of a sample is ``clip(sample ± epsilon)``.
    clip
        Smallest and largest value that an input may have, None for no limit.
    n_sub_boxes
        Number of pieces into which each domain is split; more are tighter and slower.
    seed
        Decides which samples are drawn; None draws at random.
    image_shape
        `(height, width)` or `(height, width, channels)` of one image, where it cannot be
        guessed from the shapes of `x` and of the model.
    kind
        How a sample is drawn: "image", "row" (one bar per feature) or "signal" (one line per
        channel). None guesses: a flat vector of a square number of at least 16 values is an image,
        another one a row; `(n, channels)` is a signal if it is long and narrow.
    feature_names, class_names
        Names to show instead of numbers.
    executor
        "thread" computes beside the kernel, "sync" inside of each assignment (for tests and
        scripts).
    **kwargs
        The arguments of every Jupyter widget: `layout`, `tooltip`, `tabbable`.

    Attributes
    ----------
    epsilon : float
        May be assigned, or linked to an :class:`EpsilonSlider` by ``link`` or ``jslink``.
    seed, indices
        Which samples are shown. Both may be assigned; `indices` are positions in `x`.
    selected : int
        Position of the selected sample in the grid, -1 for none.
    columns : int
        Largest number of columns.
    shown : tuple of str
        Verdicts of the samples that are shown; empty shows all samples.
    sort_by : str
        "position" (the order of `indices`), "verdict", "radius" (the certified one), "label" or
        "margin" (the upper bound of the largest margin).
    descending : bool
        Whether the largest comes first.
    pinned : tuple of int
        Positions in `x` of the samples that stay when others are drawn.
    brushed : tuple of int
        Positions in the grid of the samples that are highlighted, the others step back; empty for
        none. Brushing a linked :class:`BoundHistogram` sets it.
    can_undo : bool
        Whether `undo` has samples to go back to.
    verdicts : tuple of str
        Verdict of each sample at `epsilon`: "robust", "non_robust", "unknown", "misclassified" or
        "pending".
    upper, lower : numpy.ndarray
        Bounds of the largest margin ``f_j - f_label`` over the domain, at `evaluated_epsilon`; NaN
        before the first result. A tighter bound that carries over from another epsilon is kept.
    evaluated_epsilon : float or None
        The epsilon of `upper`, `lower` and `elapsed`. It differs from `epsilon` while computing.
    labels, predictions : numpy.ndarray
        Class of each sample, and the class the model gives to it (-1 before the first result).
    reasons : tuple of str
        Why a sample is undecided, "" otherwise.
    elapsed : float
        Seconds the last complete result took.
    busy : bool
        Whether a result is on its way.
    error : str
        What went wrong with the last request, "" if nothing did.

    Raises
    ------
    ValueError
        If the data cannot be used; the message says why.
    traitlets.TraitError
        If a number is out of its range.

    Examples
    --------
    >>> grid = SampleGrid(model, x_test, y_test, epsilon=2 / 255, seed=0)
    >>> slider = EpsilonSlider()
    >>> jslink((slider, "value"), (grid, "epsilon"))
    """

    _esm = static_file("sample_grid.js")
    _css = static_file("sample_grid.css")

    def __init__(
        self,
        model: "keras.Model | DecomonModel",
        x: ArrayLike,
        y: ArrayLike,
        n_samples: int = 10,
        columns: int = 5,
        epsilon: float = 0.0,
        clip: tuple[float, float] | None = (0.0, 1.0),
        n_sub_boxes: int = 1,
        seed: int | None = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        kind: Literal["image", "row", "signal"] | None = None,
        feature_names: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
        executor: Literal["thread", "sync"] = "thread",
        _certify: Certify | None = None,
        **kwargs: Any,
    ) -> None:
        self.check_arguments(kwargs)
        super().__init__(
            model,
            x,
            y,
            n_samples=n_samples,
            columns=columns,
            epsilon=epsilon,
            clip=clip,
            n_sub_boxes=n_sub_boxes,
            seed=seed,
            image_shape=image_shape,
            kind=kind,
            feature_names=feature_names,
            class_names=class_names,
            executor=executor,
            certify=_certify,
            **kwargs,
        )
