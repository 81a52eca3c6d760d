"""Two real hosts: delay, streams, sockets, processes, and that nothing stays."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from simopen import lab
from simopen.capture import ladder, picture
from simopen.lab._available import supervisor_environment

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

_DELAY_S = 0.010
_SLEEP = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]

_ECHO = """
import socket
s = socket.socket({family}, socket.SOCK_DGRAM); s.bind(("", 9)); print(flush=True)
while True: s.sendto(*s.recvfrom(99))
"""

_PING = """
import socket, sys, time, json
s = socket.socket({family}, socket.SOCK_DGRAM); s.connect((sys.argv[1], 9)); rtts = []
for _ in range(50):
    start = time.perf_counter(); s.send(b"x"); s.recv(99); rtts.append(time.perf_counter() - start)
print(json.dumps(rtts))
"""

_SERVE = """
import hashlib, socket
s = socket.create_server(("", 9)); print(flush=True); c, _ = s.accept(); h = hashlib.sha256()
while data := c.recv(1 << 16): h.update(data)
print(h.hexdigest())
"""

_SEND = """
import socket, sys
with socket.create_connection((sys.argv[1], 9)) as s: s.sendall(sys.stdin.buffer.read())
"""

_PEER = """
import socket, sys, time
end = time.monotonic() + 20
while time.monotonic() < end:
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((sys.argv[1], 40000))
    try: s.connect((sys.argv[2], 40000)); break
    except ConnectionRefusedError: s.close()
s.sendall(b"hello"); s.shutdown(socket.SHUT_WR); print(s.recv(99))
"""


def _python(script: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", script, *arguments]


async def _until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110  # processes end without telling us
            await anyio.sleep(0.01)


def _alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _supervisor(host: lab.Host) -> int:
    """Return the process id of a host's supervisor."""
    found = re.search(r"/proc/(\d+)/fd", " ".join(host.command([])))
    assert found is not None
    return int(found[1])


def _descriptors() -> set[str]:
    """Return what this process has open, but for what names a process-wide thing of a loop."""
    open_now = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            open_now.add(f"{entry.name} {entry.readlink()}")
    return open_now


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
async def test_a_round_trip_takes_two_delays(family: str) -> None:
    """Never less than declared, and close to it at the median, in both families."""
    async with lab.two_hosts(delay=_DELAY_S) as net:
        echo = await net.b.popen(_python(_ECHO.format(family=f"socket.{family}")))
        assert echo.stdout is not None
        await echo.stdout.receive()
        address = net.b.ipv4 if family == "AF_INET" else net.b.ipv6
        done = await net.a.run(_python(_PING.format(family=f"socket.{family}"), address))
    rtts = sorted(json.loads(done.stdout))
    assert rtts[0] >= 2 * _DELAY_S
    assert rtts[len(rtts) // 2] < 2 * _DELAY_S + 0.005


async def test_a_stream_arrives_whole() -> None:
    """Five megabytes over an ordinary TCP connection keep their checksum."""
    data = os.urandom(5_000_000)
    async with lab.two_hosts(delay=_DELAY_S) as net:
        server = await net.b.popen(_python(_SERVE))
        assert server.stdout is not None
        await server.stdout.receive()
        await net.a.run(_python(_SEND, net.b.ipv4), input=data)
        digest = (await server.stdout.receive()).decode().strip()
    assert digest == hashlib.sha256(data).hexdigest()
    assert net.traffic["a"].up.accepted > 5_000_000 / 1500
    assert net.traffic["site-a"].up.overflowed == 0


async def test_a_host_has_no_listener_until_somebody_listens() -> None:
    """The table of the right host is read, and hosts do not share it."""
    async with lab.two_hosts() as net:
        assert net.a.listeners() == net.b.listeners() == []
        server = await net.b.popen(_python(_SERVE))
        assert server.stdout is not None
        await server.stdout.receive()
        assert net.b.listeners() == [("0.0.0.0", 9)]
        assert net.a.listeners() == []


async def test_simultaneous_open_is_seen_crossing(tmp_path: Path) -> None:
    """Two hosts without a listener connect, and the capture shows whose SYNs crossed."""
    capture = tmp_path / "x.pcapng"
    async with lab.two_hosts(delay=_DELAY_S, capture=capture) as net:
        async with anyio.create_task_group() as group:
            for own, other in ((net.a, net.b), (net.b, net.a)):
                group.start_soon(own.run, _python(_PEER, own.ipv4, other.ipv4))
        assert len(await net.records()) > 8  # readable while the lab is up
    (conversation,) = ladder.conversations(await net.records())
    steps = ladder.steps(await net.records(), conversation)
    # Departures are noted when they are read, microseconds late: two SYNs that only just crossed
    # may look as if they had not. That both are there, and nobody listens, is proof enough.
    assert {step.sender for step in steps if step.flags == "SYN"} == {"a", "b"}
    assert "SYN-ACK" in picture.draw(steps)
    for step in steps:
        # the last of all may be on its way when the lab ends
        assert step.arrived_at is None or step.arrived_at - step.sent_at >= _DELAY_S
    if shutil.which("tshark"):
        done = await anyio.run_process(["tshark", "-r", str(capture), "-Y", "tcp.flags.syn==1"])
        assert done.stdout.count(b"[SYN") >= 4


async def test_commands_for_others_and_their_environment(tmp_path: Path) -> None:
    """`command` suits subprocess; environment and working directory reach the program."""
    async with lab.two_hosts() as net:
        own = str(await anyio.Path("/proc/self/ns/net").readlink())
        command = net.a.command(["readlink", "/proc/self/ns/net"])
        other = (await anyio.run_process(command)).stdout.decode().strip()
        assert other != own
        options = {"PATH": os.environ["PATH"], "TEA": "green"}
        done = await net.b.run(["sh", "-c", "echo $TEA; pwd"], env=options, cwd=tmp_path)
        assert done.stdout.decode().split() == ["green", str(tmp_path)]
        with pytest.raises(subprocess.CalledProcessError):
            await net.a.run(["false"])
        assert (await net.a.run(["false"], check=False)).returncode == 1


async def test_leftovers_are_killed_with_all_they_started() -> None:
    """A program that still runs at the end dies, its orphans too, and the supervisor ends."""
    orphan = "sleep 600 >/dev/null & echo $!; exec sleep 600"
    async with lab.two_hosts() as net:
        process = await net.a.popen(["sh", "-c", orphan])
        assert process.stdout is not None
        orphan_pid = int(await process.stdout.receive())
        supervisor = _supervisor(net.a)
        assert _alive(orphan_pid)
    assert process.returncode == -signal.SIGKILL
    assert not any(map(_alive, (orphan_pid, supervisor)))


async def test_nothing_stays_open() -> None:
    """After a lab has ended this process has the descriptors it had before."""
    async with lab.two_hosts() as net:
        await net.a.run(["true"])  # whatever an event loop opens once for all processes
    before = _descriptors()
    async with lab.two_hosts() as net:
        await net.a.popen(_SLEEP)
    await _until(lambda: _descriptors() <= before)


async def test_two_labs_at_once_do_not_meet() -> None:
    """The same addresses in two labs are different hosts."""
    async with lab.two_hosts() as one, lab.two_hosts() as two:
        server = await one.b.popen(_python(_SERVE))
        assert server.stdout is not None
        await server.stdout.receive()
        assert one.b.listeners()
        assert not two.b.listeners()
        refused = await two.a.run(_python(_SEND, two.b.ipv4), input=b"", check=False)
        assert b"ConnectionRefusedError" in refused.stderr


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.15, 0.2])
async def test_cancelled_at_any_moment_nothing_stays(
    delay: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set-up that is cancelled leaves no supervisor behind."""
    mark = f"simopen-test-{os.getpid()}-{time.monotonic_ns()}"
    monkeypatch.setattr(
        "simopen.lab._supervision.supervisor_environment",
        lambda: supervisor_environment() | {"MARK": mark},
    )
    with anyio.move_on_after(delay):
        async with lab.two_hosts() as net:
            await net.a.run(_SLEEP)
    assert not _marked(mark)


def _marked(mark: str) -> list[str]:
    """Return the processes that have a mark in their environment."""
    found = []
    for entry in Path("/proc").glob("[1-9]*"):
        with suppress(OSError):
            if mark.encode() in (entry / "environ").read_bytes():
                found.append(entry.name)
    return found


async def test_a_killed_parent_leaves_nothing() -> None:
    """When the program that holds a lab is killed outright, hosts and their processes go, too."""
    script = """
import anyio, sys
from simopen import lab
async def main():
    async with lab.two_hosts() as net:
        process = await net.a.popen(["sleep", "600"])
        print(process.pid, *net.a.command([]), flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""
    async with await anyio.open_process(_python(script), env=supervisor_environment()) as parent:
        assert parent.stdout is not None
        line = await BufferedByteReceiveStream(parent.stdout).receive_until(b"\n", 999)
        parent.kill()
    pids = [int(pid) for pid in re.findall(rb"^\d+|(?<=/proc/)\d+(?=/fd)", line)]
    assert len(pids) == 2
    await _until(lambda: not any(map(_alive, pids)))


async def test_a_process_on_its_way_into_a_host_is_killed(tmp_path: Path) -> None:
    """One that has opened the host's namespace but not yet moved there does not outlive the lab."""
    sleeper = shutil.which("sleep")
    assert sleeper is not None
    slow = shutil.copy(sleeper, tmp_path / "nsenter")
    async with lab.two_hosts() as net:
        access = next(word for word in net.a.command([]) if word.startswith("--net="))
        namespace = os.open(access.removeprefix("--net="), os.O_RDONLY)
        slow_to_enter = await anyio.open_process([slow, "600"], pass_fds=[namespace])
        os.close(namespace)
    try:
        with anyio.fail_after(10):
            assert await slow_to_enter.wait() == -signal.SIGKILL
    finally:
        with suppress(ProcessLookupError):
            slow_to_enter.kill()
        await slow_to_enter.aclose()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_supervisor_ends_orderly_on_a_signal(number: signal.Signals) -> None:
    """It kills the hosts' inhabitants and reports, as if it had been told to end."""
    async with lab.two_hosts() as net:
        process = await net.a.popen(_SLEEP)
        assert process.stdout is not None
        await process.stdout.receive()  # so that it is inside
        os.kill(_supervisor(net.a), number)
        with anyio.fail_after(10):
            assert await process.wait() == -signal.SIGKILL
    assert net.traffic.keys() == {"a", "b", "site-a", "site-b"}


async def test_a_lab_that_broke_is_told() -> None:
    """A supervisor that was killed makes the context fail; processes are cleaned up anyway."""
    with pytest.raises(lab.LabBroken):  # noqa: PT012  # the context's end raises
        async with lab.two_hosts() as net:
            process = await net.a.popen(_SLEEP)
            assert process.stdout is not None
            await process.stdout.receive()  # so that it is inside
            os.kill(_supervisor(net.a), signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


async def test_an_own_error_is_not_hidden_by_a_broken_lab() -> None:
    """What the body raised is what comes out."""
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  # likewise
        async with lab.two_hosts() as net:
            os.kill(_supervisor(net.a), signal.SIGKILL)
            raise ZeroDivisionError


async def test_set_up_that_dies_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor's standard error is in the error."""
    command = _python("import sys; sys.exit('last words')")
    monkeypatch.setattr("simopen.lab._supervision.supervisor_command", lambda: command)
    with pytest.raises(lab.LabUnavailable, match="last words"):
        async with lab.two_hosts():
            pytest.fail("there can be no lab")


@pytest.mark.parametrize("wrong", [{"delay": -1}, {"delay": float("nan")}, {"mtu": 100}])
async def test_arguments_out_of_range(wrong: dict[str, float]) -> None:
    """A wrong argument is told before anything starts."""
    with pytest.raises(ValueError, match="not"):
        async with lab.two_hosts(**wrong):  # type: ignore[arg-type]
            pytest.fail("there can be no such lab")


async def test_a_capture_that_cannot_be_written(tmp_path: Path) -> None:
    """A wrong path is an ordinary OSError."""
    with pytest.raises(FileNotFoundError):
        async with lab.two_hosts(capture=tmp_path / "none" / "x.pcapng"):
            pytest.fail("there can be no such capture")


async def test_no_capture_no_records() -> None:
    """Asking for records of a network without capture is a mistake, and told as one."""
    async with lab.two_hosts() as net:
        with pytest.raises(ValueError, match="no capture"):
            await net.records()


async def test_an_overfull_wire_loses_packets() -> None:
    """Beyond its capacity the wire drops, and the capture shows departures without arrivals."""
    flood = "import socket, sys; s = socket.socket(type=socket.SOCK_DGRAM)\n"
    flood += "for _ in range(200): s.sendto(b'', (sys.argv[1], 9))"
    async with lab.two_hosts(delay=0.2, capacity=10) as net:
        await net.a.run(_python(flood, net.b.ipv4))
    assert net.traffic["site-a"].up.overflowed >= 100
