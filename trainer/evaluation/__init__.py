"""What rollouts of a model on tasks say of it, with intervals, and how two evaluations compare."""

from .comparison import Comparison, compare
from .evaluation import Evaluation, load_evaluation
from .figures import Figures, figures
from .task_score import TaskScore, score_tasks

__all__ = [
    "Comparison",
    "Evaluation",
    "Figures",
    "TaskScore",
    "compare",
    "figures",
    "load_evaluation",
    "score_tasks",
]
