"""The scheduling benchmark: policies against each other and against the bound, on the same workloads."""
