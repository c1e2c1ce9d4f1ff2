"""Jupyter widgets that show certified robustness live."""

from .bound_band import BoundBand
from .bound_histogram import BoundHistogram
from .counterexample_viewer import CounterexampleViewer
from .epsilon_slider import EpsilonSlider
from .explorer import RobustnessExplorer
from .margin_chart import MarginChart
from .relaxation_plot import RelaxationPlot
from .robustness_curve import RobustnessCurve
from .sample_grid import SampleGrid

__all__ = [
    "BoundBand",
    "BoundHistogram",
    "CounterexampleViewer",
    "EpsilonSlider",
    "MarginChart",
    "RelaxationPlot",
    "RobustnessCurve",
    "RobustnessExplorer",
    "SampleGrid",
]
