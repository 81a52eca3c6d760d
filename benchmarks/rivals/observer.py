"""What a third host says to whoever asks: from which endpoint he is seen.

Over TCP, a line ``address:port``, and the connection stays open as long as the other end likes.
Over UDP, the answer to a STUN Binding request (RFC 8489 §7.3.1) with its XOR-MAPPED-ADDRESS (§14.2)
and nothing else. Both on one port, IPv4 only. Nothing here is meant for any network but the lab's.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
import threading

BINDING_REQUEST, BINDING_SUCCESS = 0x0001, 0x0101
XOR_MAPPED_ADDRESS, FAMILY_IPV4 = 0x0020, 1
COOKIE = 0x2112A442
HEADER = struct.Struct(">HHI12s")


def binding_answer(request: bytes, address: str, port: int) -> bytes | None:
    """The answer to a STUN Binding request from an endpoint; None: it is none."""
    if len(request) < HEADER.size:
        return None
    kind, length, cookie, transaction = HEADER.unpack_from(request)
    if (kind, cookie) != (BINDING_REQUEST, COOKIE) or length != len(request) - HEADER.size:
        return None
    mapped = struct.pack(
        ">BBHI", 0, FAMILY_IPV4, port ^ COOKIE >> 16, int(ipaddress.IPv4Address(address)) ^ COOKIE
    )
    attribute = struct.pack(">HH", XOR_MAPPED_ADDRESS, len(mapped)) + mapped
    return HEADER.pack(BINDING_SUCCESS, len(attribute), COOKIE, transaction) + attribute


def answer_datagrams(sock: socket.socket) -> None:
    """Answer over UDP for ever."""
    while True:
        request, (address, port) = sock.recvfrom(1500)
        if answer := binding_answer(request, address, port):
            sock.sendto(answer, (address, port))


def answer_connection(sock: socket.socket, peer: tuple[str, int]) -> None:
    """Answer over TCP, and wait until the other end has gone."""
    with sock:
        try:
            sock.sendall(f"{peer[0]}:{peer[1]}".encode())
            sock.recv(1)
        except OSError:
            return


def main() -> None:
    """Observe on the port given."""
    where = "0.0.0.0", int(sys.argv[1])  # noqa: S104  # the lab's network
    listener = socket.create_server(where, backlog=128)
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    datagrams.bind(where)
    threading.Thread(target=answer_datagrams, args=(datagrams,), daemon=True).start()
    print("ready", flush=True)
    while True:
        threading.Thread(target=answer_connection, args=listener.accept(), daemon=True).start()


if __name__ == "__main__":
    main()
