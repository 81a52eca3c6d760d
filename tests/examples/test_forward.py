from __future__ import annotations

import pytest

from tests.examples.programs import EXAMPLES, Homes, Running, as_shown

pytestmark = pytest.mark.lab

ECHO = str(EXAMPLES / "echo.py")

# Accepts once, says something and resets.
RESETS = """
import socket, struct
with socket.create_server(("127.0.0.1", 9000)) as listener:
    connection, _ = listener.accept()
connection.sendall(b"half of")
connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
connection.recv(1)
connection.close()
"""

# Connects and says how what it receives ends.
READS = """
import socket
with socket.create_connection(("127.0.0.1", 2222)) as connection:
    print(connection.recv(100))
    connection.sendall(b"x")
    try:
        print(connection.recv(100))
    except ConnectionResetError:
        print("reset")
"""


@pytest.fixture
def forwarding(homes: Homes) -> tuple[Running, Running]:
    """Bob's port 2222 is alice's 9000."""
    serving = homes.example("alice", "forward.py", "127.0.0.1:9000", role="serve")
    listening = homes.example("bob", "forward.py", "127.0.0.1:2222", role="listen")
    homes.wait_for_port("bob", 2222)
    return serving, listening


def test_a_service_is_reached(homes: Homes, forwarding: tuple[Running, Running]) -> None:
    """Three clients at once are answered, and both sides say by which ways."""
    homes.start("alice", ECHO, "answer", "listen", "9000")
    homes.wait_for_port("alice", 9000)
    clients = [homes.start("bob", ECHO, "ask", "connect", "127.0.0.1", "2222") for _ in range(3)]
    for client in clients:
        assert client.end() == (0, "echo: is anybody there?\n")
    for side in forwarding:
        side.until("(.*encrypted\n){3}")
        assert as_shown("forward.py", side.said), side.said


def test_a_reset_stays_one(homes: Homes, forwarding: tuple[Running, Running]) -> None:
    """What the service cuts off does not look to the client as if that had been all."""
    assert forwarding
    homes.start("alice", "-c", RESETS)
    homes.wait_for_port("alice", 9000)
    assert homes.start("bob", "-c", READS).end() == (0, "b'half of'\nreset\n")


def test_no_service(homes: Homes, forwarding: tuple[Running, Running]) -> None:
    """Where nothing listens the client is hung up on, and the next one finds what does."""
    serving, _ = forwarding
    client = homes.start("bob", ECHO, "ask", "connect", "127.0.0.1", "2222")
    assert client.end() == (1, "the connection broke\n")
    serving.until("All connection attempts failed|refused")
    homes.start("alice", ECHO, "answer", "listen", "9000")
    homes.wait_for_port("alice", 9000)
    client = homes.start("bob", ECHO, "ask", "connect", "127.0.0.1", "2222")
    assert client.end() == (0, "echo: is anybody there?\n")
