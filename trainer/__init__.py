"""Learns from finished rollouts: GRPO-RoC selection, loss, step and loop, and the supervised cold start.

Import from the modules: most of them bring torch along, and not every user of one needs it.
"""
