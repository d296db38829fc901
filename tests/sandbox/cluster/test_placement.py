from collections import Counter

from headway.sandbox.cluster.placement import choose_machine


def test_nodes_are_spread_evenly():
    used: list[str] = []
    for _ in range(5):
        machine = choose_machine(["x", "y", "z"], used, at_most=2)
        assert machine is not None
        used.append(machine)
    assert sorted(Counter(used).values()) == [1, 2, 2]


def test_the_node_of_a_lost_machine_waits_rather_than_crowd_another():
    assert choose_machine(["x", "y"], ["x", "y"], at_most=1) is None
    assert choose_machine(["x", "y", "new"], ["x", "y"], at_most=1) == "new"
