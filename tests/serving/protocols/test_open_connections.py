"""The connection that gives way is an idle connection of the address that has the most."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from serving.protocols.open_connections import OpenConnections


@dataclass(eq=False)
class Connection:
    """A connection, and what it does: `idle`, `uploading` or `busy`, since which step."""

    address: str
    state: str = "idle"
    since: int = 0


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "idle", "uploading", "busy", "remove", "take"]), st.integers(0, 99)),
        max_size=60,
    )
)
def test_the_longest_idle_connection_of_the_address_with_the_most_gives_way(steps: list[tuple[str, int]]) -> None:
    table: OpenConnections[Connection] = OpenConnections()
    connections: list[Connection] = []
    for step, (action, number) in enumerate(steps):
        if action == "add":
            connections.append(Connection(f"192.0.2.{number % 3}", since=step))
            table.add(connections[-1])
        elif action == "take":
            taken = table.take()
            waiting = [each for each in connections if each.state == "idle"]
            waiting = waiting or [each for each in connections if each.state == "uploading"]
            if taken is None:
                assert not waiting
                continue
            assert taken in waiting
            numbers = Counter(each.address for each in connections)
            assert numbers[taken.address] == max(numbers[each.address] for each in waiting)
            assert taken.since == min(each.since for each in waiting if each.address == taken.address)
            taken.state = "busy"
        elif connections:
            connection = connections[number % len(connections)]
            if action == "remove":
                connections.remove(connection)
                table.remove(connection)
            else:
                getattr(table, action)(connection)
                connection.state, connection.since = action, step
