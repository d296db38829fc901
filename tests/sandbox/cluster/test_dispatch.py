from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from headway.sandbox.cluster.dispatch import Dispatch, Ticket


def dispatch_of(rooms: dict[str, int], *, seed: int = 0) -> Dispatch[str]:
    dispatch: Dispatch[str] = Dispatch(seed=seed)
    for node, room in rooms.items():
        dispatch.join(node, room=room)
    return dispatch


def enqueue(dispatch: Dispatch[str], count: int, **kind) -> None:
    for order in range(count):
        dispatch.wait(Ticket(order=order, **kind))


def test_calls_go_in_order_of_arrival_and_the_rest_wait():
    dispatch = dispatch_of({"a": 2, "b": 1})
    enqueue(dispatch, 5)
    assert [ticket.order for ticket, _ in dispatch.grant()] == [0, 1, 2]
    dispatch.release("a")
    assert [(ticket.order, node) for ticket, node in dispatch.grant()] == [(3, "a")]
    assert [ticket.order for ticket in dispatch.waiting] == [4]


def test_of_two_nodes_the_one_with_less_to_do_is_chosen():
    dispatch = dispatch_of({"a": 100, "b": 100})
    enqueue(dispatch, 10)
    assert Counter(node for _, node in dispatch.grant()) == {"a": 5, "b": 5}


def test_two_choices_spread_calls_over_many_nodes_far_better_than_one():
    dispatch = dispatch_of({str(n): 1000 for n in range(50)})
    enqueue(dispatch, 500)
    counts = Counter(node for _, node in dispatch.grant())
    assert len(counts) == 50
    assert max(counts.values()) <= 13  # 10 on average; a draw of one node would give about 18


def test_the_draw_is_that_of_the_seed():
    def draw(seed: int) -> list[str]:
        dispatch = dispatch_of({str(n): 9 for n in range(9)}, seed=seed)
        enqueue(dispatch, 30)
        return [node for _, node in dispatch.grant()]

    assert draw(1) == draw(1) != draw(2)


def test_cells_count_as_work_but_take_no_room():
    dispatch = dispatch_of({"a": 1, "b": 1})
    dispatch.count_cell("a", 1)
    enqueue(dispatch, 3)
    assert [node for _, node in dispatch.grant()] == ["b", "a"]


def test_a_session_opens_where_there_are_fewer():
    dispatch = dispatch_of({"a": 9, "b": 9})
    for _ in range(3):
        dispatch.count_session("a", 1)
    enqueue(dispatch, 3, opens_session=True)
    assert [node for _, node in dispatch.grant()] == ["b"] * 3


def test_sessions_do_not_keep_calls_away():
    dispatch = dispatch_of({"a": 9, "b": 9})
    for _ in range(5):
        dispatch.count_session("a", 1)
    enqueue(dispatch, 4)
    assert Counter(node for _, node in dispatch.grant()) == {"a": 2, "b": 2}


def test_a_call_waits_for_a_node_that_it_does_not_avoid_and_holds_nobody_up():
    dispatch = dispatch_of({"a": 1, "b": 1})
    dispatch.wait(Ticket(order=0, avoid={"a"}))
    dispatch.wait(Ticket(order=1, avoid={"a"}))
    dispatch.wait(Ticket(order=2))
    assert [(ticket.order, node) for ticket, node in dispatch.grant()] == [(0, "b"), (2, "a")]
    dispatch.release("a")
    assert dispatch.grant() == []
    dispatch.release("b")
    assert [(ticket.order, node) for ticket, node in dispatch.grant()] == [(1, "b")]


def test_a_node_that_is_avoided_serves_where_it_is_the_last():
    dispatch = dispatch_of({"a": 1, "b": 1})
    dispatch.wait(Ticket(order=0, avoid={"a"}))
    dispatch.leave("b")
    assert [node for _, node in dispatch.grant()] == ["a"]


def test_what_ends_on_a_node_that_has_left_is_nothing_to_its_successor():
    dispatch = dispatch_of({"a": 1})
    dispatch.leave("a")
    for end in (dispatch.release, lambda node: dispatch.count_cell(node, -1)):
        end("a")
    dispatch.join("b", room=1)
    enqueue(dispatch, 2)
    assert [node for _, node in dispatch.grant()] == ["b"]


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sets(st.integers(0, 3))),
        st.tuples(st.just("withdraw"), st.integers(0, 30)),
        st.tuples(st.just("end"), st.integers(0, 30)),
        st.tuples(st.just("join"), st.integers(1, 3)),
        st.tuples(st.just("leave"), st.integers(0, 3)),
    ),
    max_size=60,
)


@given(OPERATIONS, st.integers(0, 3))
def test_no_node_is_overfull_no_call_is_forgotten_and_none_waits_without_need(operations, seed):
    dispatch: Dispatch[int] = Dispatch(seed=seed)
    rooms: dict[int, int] = {}
    tickets: dict[int, Ticket[int]] = {}
    running: list[tuple[int, int]] = []
    granted: set[int] = set()
    for operation, value in operations:
        match operation:
            case "wait":
                ticket = tickets[len(tickets)] = Ticket(order=len(tickets), avoid=value)
                dispatch.wait(ticket)
            case "withdraw":
                if value in tickets and value not in granted:
                    dispatch.withdraw(tickets[value])
                    granted.add(value)
            case "end" if running:
                dispatch.release(running.pop(value % len(running))[1])
            case "join":
                node = len(rooms)
                rooms[node] = value
                dispatch.join(node, room=value)
            case "leave":
                dispatch.leave(value)
                running = [(order, node) for order, node in running if node != value]
        before = {ticket.order for ticket in dispatch.waiting}
        for ticket, node in dispatch.grant():
            assert ticket.order not in granted
            assert node in dispatch.nodes
            granted.add(ticket.order)
            running.append((ticket.order, node))
        load = Counter(node for _, node in running)
        assert all(load[node] <= rooms[node] for node in dispatch.nodes)
        left = {ticket.order: ticket for ticket in dispatch.waiting}
        assert set(tickets) - granted == set(left) == before - granted
        free = {node for node in dispatch.nodes if load[node] < rooms[node]}
        for ticket in left.values():
            assert free <= set(ticket.avoid)
            assert not free or set(dispatch.nodes) - set(ticket.avoid)
