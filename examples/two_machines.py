"""Two machines of yours meet, and see how fast the way between them is. Needs nothing but Python.

In a clone of simopen on each. The first one also has the coordinator, and says what to do next:

    one$ python3 examples/two_machines.py
    On the other machine, in a clone of simopen:

        python3 examples/two_machines.py tcp://192.168.1.20:7337

    and give it this invite when it asks:

        simopen1-arzg633ncirekm...

    two$ python3 examples/two_machines.py tcp://192.168.1.20:7337
    Invite (Enter makes a new one): simopen1-arzg633ncirekm...
    waiting for the other machine
    192.168.1.31:41234 <-> 192.168.1.20:35093, local network, 9.2 ms, 1 SYN, 0 refusals, encrypted
    there and back in 1.8 ms
    512 Mbit/s from there, while as much as possible went the other way

Where neither can reach the other, as behind the routers of two homes, a coordinator runs where both
reach it (simopen coordinator), and both are given its URL; the first makes the invite by Enter.

The first start makes a virtual environment in the clone, .venv-two-machines; delete it afterwards.
"""

import importlib.util
import os
import socket
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
VENV = CLONE / ".venv-two-machines"

if importlib.util.find_spec("simopen") is None:
    python = VENV / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not (VENV / "ready").exists():
        print(f"the first time: setting up {VENV}", flush=True)
        venv.create(VENV, clear=True, with_pip=True)
        if subprocess.call([python, "-m", "pip", "install", "--quiet", "--editable", CLONE]):
            sys.exit("simopen cannot be installed here")
        (VENV / "ready").touch()
    os.execv(python, [str(python), *sys.argv])

import anyio  # noqa: E402
from anyio.streams.buffered import BufferedByteStream  # noqa: E402

import simopen  # noqa: E402

PORT = 7337
PINGS = 10
BLOCK = bytes(65_536)
SENDING = 2  # seconds
SILENCE = 20  # seconds without a word from the other machine


async def host() -> None:
    """Be the coordinator as well, and say what is to be done on the other machine."""
    invite = simopen.Invite.new("two machines").reveal()
    async with simopen.Coordinator(f"0.0.0.0:{PORT}") as coordinator:
        url = f"tcp://{own_address()}:{PORT}"
        print("On the other machine, in a clone of simopen:\n")
        print(f"    python3 examples/two_machines.py {url}\n")
        print(f"and give it this invite when it asks:\n\n    {invite}\n", flush=True)
        await meet(url, invite)
        await coordinator.drain()  # the other has perhaps not yet heard that it went well


async def meet(url: str, invite: str) -> None:
    """Connect to the other machine and look at the way there."""
    print("waiting for the other machine", flush=True)
    async with await simopen.connect_peer(rendezvous=url, secret=invite) as stream:
        print(stream.report, flush=True)
        lines = BufferedByteStream(stream)
        with anyio.fail_after(SILENCE):
            times = [await ping(lines) for _ in range(PINGS)]
        print(f"there and back in {1000 * statistics.median(times):.1f} ms", flush=True)
        with anyio.fail_after(SILENCE):
            async with anyio.create_task_group() as group:
                group.start_soon(flood, stream)
                began, received = time.perf_counter(), 0
                async for chunk in lines:
                    received += len(chunk)
                rate = 8 * received / (time.perf_counter() - began)
        print(f"{rate / 1e6:.0f} Mbit/s from there, while as much as possible went the other way")


async def ping(lines: BufferedByteStream) -> float:
    """Ask, answer what the other has asked, and wait for its answer; return the seconds."""
    began = time.perf_counter()
    for word in (b"ping\n", b"pong\n"):
        await lines.send(word)
        await lines.receive_until(b"\n", len(word))
    return time.perf_counter() - began


async def flood(stream: simopen.PeerStream) -> None:
    """Send for a while; the end is between two sends, since one that is cancelled tears it."""
    end = time.perf_counter() + SENDING
    while time.perf_counter() < end:
        await stream.send(BLOCK)
    await stream.send_eof()


def own_address() -> str:
    """The address of this machine in its network, as a packet to anywhere would have it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


def asked() -> str:
    """The invite from the first machine, or one for the second."""
    if invite := input("Invite (Enter makes a new one): ").strip():
        return invite
    invite = simopen.Invite.new("two machines").reveal()
    print(f"give the other machine this one:\n\n    {invite}\n", flush=True)
    return invite


try:
    match sys.argv[1:]:
        case []:
            anyio.run(host)
        case [url]:
            anyio.run(meet, url, asked())
        case _:
            sys.exit(__doc__)
except simopen.SimopenError as error:
    sys.exit(str(error))
except (ExceptionGroup, anyio.BrokenResourceError, anyio.IncompleteRead, TimeoutError) as error:
    sys.exit(f"the connection broke: {error!r}")
except KeyboardInterrupt:
    sys.exit(130)
