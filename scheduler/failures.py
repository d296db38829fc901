"""What a trajectory can fail of, and the boundary that each failure crossed."""

from headway.engine import EngineError
from headway.errors import HeadwayError
from headway.sandbox import SandboxError

from .rollout import Boundary, Failure
from .tool import ToolFault


class Overload(HeadwayError):
    """A turn that can never fit on any engine of the fleet."""


class RewardFault(Exception):
    """The reward function failed."""


def explain(error: BaseException) -> Failure:
    """Return a failure as a value; of a group of errors, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    message = (str(error) or type(error).__name__).encode("utf-8", "replace").decode()
    return Failure(_boundary(error), message)


def _boundary(error: BaseException) -> Boundary:
    match error:
        case EngineError():
            return "engine"
        case ToolFault() | SandboxError():
            return "sandbox"
        case RewardFault():
            return "reward"
        case Overload():
            return "overload"
        case _:
            return "agent"
