"""The command line: the place that wires the five folders together."""
