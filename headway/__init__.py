"""headway: the rollout scheduler and inference engine layer for agentic reinforcement learning."""

__version__ = "0.1.0"
