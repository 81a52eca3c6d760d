"""A socket that is bound and does not listen answers a SYN with a reset.

    python bound_not_listening.py

prints (Linux, with root or user namespaces)

    port 40000 of b: bound
    listening sockets of b: none
    a client: [Errno 111] Connect call failed ('203.0.113.2', 40000)
    connect_peer: refused 23 times
      likely: The peer's host, or a NAT or firewall in front of it, answers, but nothing there is
      connecting from port 40000 to us
      next: Start the other side as well, with 40000 as its local port and 40000 as the port of its
      remote; behind a NAT the address it gives must be our public one
            ms  a                                                            b
          0.00  ├─ SYN ──────────────────────╮                               │
         10.06  │                            ╰───────────────────────── SYN ▶│
         10.17  │                               ╭────────────────── RST-ACK ─┤
         20.19  │◀ RST-ACK ─────────────────────╯                            │

The picture is the client's attempt. Being bound keeps others from a port, and does nothing with
what comes in: a SYN is for a socket that has both its endpoints, or else for one that listens.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import anyio

import simopen
from simopen import lab

PORT = 40000
BOUND = f"""\
import socket, time
sock = socket.socket()
sock.bind(("0.0.0.0", {PORT}))
print("bound", flush=True)
time.sleep(60)
"""


async def knock(host: str) -> str:
    """Connect as any client does; what became of it."""
    try:
        stream = await anyio.connect_tcp(host, PORT)
    except OSError as error:
        return str(error.__cause__ or error)
    await stream.aclose()
    return "connected"


async def punch(host: str) -> str:
    """Connect as a peer does; what became of it."""
    try:
        stream = await simopen.connect_peer((host, PORT), local=f"0.0.0.0:{PORT}", timeout=0.5)
    except simopen.PeerConnectError as error:
        why = error.diagnosis
        times = error.report.refusals
        return f"refused {times} times\n  likely: {why.explanation}\n  next: {why.advice}"
    await stream.aclose()
    return "connected"


async def main(wire: Path) -> None:
    """Bind in one host, and connect from the other."""
    async with lab.two_hosts(0.01, capture=wire) as net:
        holder = await net.b.popen([sys.executable, "-c", BOUND], stdout=subprocess.PIPE)
        assert holder.stdout  # noqa: S101 - a pipe, as asked for
        print(f"port {PORT} of b:", (await holder.stdout.receive()).decode().strip())
        print("listening sockets of b:", net.b.listeners() or "none")
        print("a client:", await net.a.call(knock, net.b.ipv4))
        print("connect_peer:", await net.a.call(punch, net.b.ipv4))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        wire = Path(folder, "wire.pcapng")
        anyio.run(main, wire)
        draw = [sys.executable, "-m", "simopen", "lab", "ladder", str(wire)]
        drawn = subprocess.run(draw, check=True, capture_output=True, text=True)  # noqa: S603 - our own
        print(drawn.stdout)
