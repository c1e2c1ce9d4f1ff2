"""One widget follows another and keeps neither of them alive."""

import weakref
from collections.abc import Callable
from typing import Any

import traitlets

__all__ = ["follow"]


def follow(
    source: traitlets.HasTraits, names: tuple[str, ...], handler: Callable[[Any], None]
) -> Callable[[], None]:
    """Call a method at every change of some traits, as long as its object lives.

    Parameters
    ----------
    source
        Whose traits are watched.
    names
        Of the traits.
    handler
        A bound method; it is called with the change.

    Returns
    -------
    callable
        Stops following; may be called twice.
    """
    weak = weakref.WeakMethod(handler)
    seen = weakref.ref(source)
    following = True

    def tell(change: Any) -> None:
        method = weak()
        if method is None:
            stop()
        else:
            method(change)

    def stop() -> None:
        nonlocal following
        watched = seen()
        if following and watched is not None:
            watched.unobserve(tell, names)
        following = False

    source.observe(tell, names)
    return stop
