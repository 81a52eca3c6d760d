"""A client that tries a closed port until it is connected: to itself.

    python accidental_self_connection.py

prints, mostly within a second (Linux),

    nobody listens on 127.0.0.1:46882; trying until somebody does
    connected at attempt 12,387
    and hears: is anybody there?
    the server cannot start: [Errno 98] Address already in use (while attempting to bind on address
    ('127.0.0.1', 46882))
    the guard: the socket is connected to itself: both its ends are 127.0.0.1:46882, and nobody else
    is there. Nothing listened on port 46882, and the kernel gives the ports 32768-60999
    (net.ipv4.ip_local_port_range) to sockets that are not bound: one that tries often enough gets
    the very port that it is connecting to. Let the server have a port outside that range, or
    reserve its port (add 46882 to net.ipv4.ip_local_reserved_ports), or bind the client to another
    port before it connects

Nothing here is unusual: it is what any client does that waits for a server of its own host to
start. Each attempt goes out from a port of the kernel's choice, and one of them is the server's.
"""

import socket
import textwrap
from pathlib import Path

import simopen

HOST = "127.0.0.1"


def a_servers_port() -> int:
    """A free port of those that the kernel gives to clients.

    Every second one, as the first of them is: the others are given when these are used up.
    """
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    for port in range((first + last) // 4 * 2 + first % 2, last, 2):
        with socket.socket() as server:
            if server.connect_ex((HOST, port)) != 0:
                return port
    raise RuntimeError("no port is free")


def connect_at_last(port: int) -> tuple[socket.socket, int]:
    """Try until it works, as clients do; only that they rest between attempts."""
    attempt = 0
    while True:
        attempt += 1
        try:
            return socket.create_connection((HOST, port)), attempt
        except ConnectionRefusedError:
            pass


port = a_servers_port()
print(f"nobody listens on {HOST}:{port}; trying until somebody does")
sock, attempt = connect_at_last(port)
print(f"connected at attempt {attempt:,}")
with sock:
    sock.sendall(b"is anybody there?")
    print("and hears:", sock.recv(100).decode())
    try:
        socket.create_server((HOST, port))
    except OSError as error:
        print("the server cannot start:", error)
    try:
        simopen.guard_self_connection(sock)
    except simopen.SelfConnectionError as error:
        print(textwrap.fill(f"the guard: {error}", 96))
