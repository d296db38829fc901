"""Where a policy hesitates: the entropy of its distribution at each token that it wrote, by kind of place."""

from .analysis import EntropyReport, analyse
from .forward import EntropyModel, Measured
from .places import Place, places

__all__ = ["EntropyModel", "EntropyReport", "Measured", "Place", "analyse", "places"]
