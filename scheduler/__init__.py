"""Decides which trajectory runs on which engine, and when."""

from .agent import Agent, Outcome
from .chat import Chat
from .episode import Episode
from .hermes_agent import AgentLimits, HermesAgent
from .policies import make_policy
from .policy import Policy
from .reward import AnswerReward, Reward
from .rollout import Group, Rollout
from .scheduler import EpisodeConfig, Scheduler
from .task import Message, Task
from .task_file import TaskFormat, load_tasks, save_tasks, task_format
from .tool import PythonSessionTool, PythonTool, StandardIOTool, StatefulTool, Tool
from .turns import TurnConfig

__all__ = [
    "Agent",
    "AgentLimits",
    "AnswerReward",
    "Chat",
    "Episode",
    "EpisodeConfig",
    "Group",
    "HermesAgent",
    "Message",
    "Outcome",
    "Policy",
    "PythonSessionTool",
    "PythonTool",
    "Reward",
    "Rollout",
    "Scheduler",
    "StandardIOTool",
    "StatefulTool",
    "Task",
    "TaskFormat",
    "Tool",
    "TurnConfig",
    "load_tasks",
    "make_policy",
    "save_tasks",
    "task_format",
]
