"""Jupyter widgets that show certified robustness live."""

from .bound_histogram import BoundHistogram
from .epsilon_slider import EpsilonSlider
from .sample_grid import SampleGrid

__all__ = ["BoundHistogram", "EpsilonSlider", "SampleGrid"]
