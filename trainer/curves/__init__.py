"""Learning curves: what training runs measured step by step, over seeds and between variants."""

from .chart import curves_chart
from .comparison import CurvesReport, compare_runs, title
from .run import Run, read_run

__all__ = ["CurvesReport", "Run", "compare_runs", "curves_chart", "read_run", "title"]
