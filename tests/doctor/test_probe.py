"""What the doctor sees of a remote: on real kernels, whose packets are counted."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import anyio
import pytest

import simopen
from simopen import Endpoint, doctor, lab
from simopen.capture import ladder
from simopen.capture.pcapng import Record
from simopen.doctor import Answer, Remote, _probe
from simopen.doctor._probe import MOST_SYNS, knock, probe
from simopen.net._addresses import resolve
from tests.helpers import free_port, no_socket_left, silent_endpoint

pytestmark = pytest.mark.anyio

ANYWHERE = Endpoint("0.0.0.0", 0)
LISTENING, CLOSED, MEETING = 5000, 5001, 5002
LINK = lab.Link(latency=0.005)


async def probe_from(local: Endpoint, remote: Endpoint) -> Remote:
    """Resolve and knock."""
    return await probe(await resolve(local, remote))


def listen(port: int) -> None:
    """A host: a server that accepts."""
    with socket.create_server(("", port)) as server:
        while True:
            server.accept()[0].close()


async def look(remote: str, local: str | None) -> doctor.Examination:
    """A host: have the doctor look."""
    return await doctor.examine(remote, local=local)


def syn_arrives(port: int) -> bool:
    """A host: whether a SYN to this port comes within two seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as every:
        every.settimeout(0.5)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                if int.from_bytes(every.recv(99)[22:24], "big") == port:
                    return True
    return False


async def meet(remote: str, local: str) -> str:
    """A host: a peer that connects, with whoever comes."""
    try:
        async with await simopen.connect_peer(remote, local=local, timeout=10) as stream:
            return f"met {stream.report.remote}"
    except simopen.PeerConnectError as error:
        return str(error)


async def test_a_refusal_is_seen_three_times() -> None:
    """Nobody on the port: three resets, each at once."""
    with no_socket_left():
        remote = await probe_from(ANYWHERE, Endpoint("127.0.0.1", free_port()))
    assert [each.answer for each in remote.knocks] == [Answer.RESET] * 3
    assert all(each.after < 0.5 for each in remote.knocks)
    assert (remote.port_is_named, remote.stranger) == (False, None)


async def test_a_listener_is_left_at_once() -> None:
    """It has accepted one connection, which was reset; nothing was sent on it."""
    with no_socket_left(), socket.create_server(("127.0.0.1", 0)) as server:
        remote = await probe_from(ANYWHERE, Endpoint(*server.getsockname()))
        with server.accept()[0] as accepted, pytest.raises(ConnectionResetError):
            accepted.recv(1)
    assert [each.answer for each in remote.knocks] == [Answer.OPEN]


async def test_a_listener_answers_strangers_too() -> None:
    """From a port that a peer would expect it takes a second knock to know."""
    local = Endpoint("127.0.0.1", free_port())
    with socket.create_server(("127.0.0.1", 0)) as server:
        remote = await probe_from(local, Endpoint(*server.getsockname()))
    assert remote.port_is_named
    assert remote.stranger is not None
    assert remote.stranger.answer is Answer.OPEN


async def test_silence_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing is not asked again."""
    monkeypatch.setattr(_probe, "PATIENCE", 0.2)
    with silent_endpoint() as address, no_socket_left():
        remote = await probe_from(ANYWHERE, Endpoint(*address))
    (only,) = remote.knocks
    assert only.answer is Answer.SILENT
    assert 0.19 <= only.after < 2  # a loop may look at its clock a little before it waits


async def test_a_cancellation_leaves_no_socket() -> None:
    """Also while a SYN is out."""
    with silent_endpoint() as address, no_socket_left():
        with anyio.move_on_after(0.1) as scope:
            await probe_from(ANYWHERE, Endpoint(*address))
        assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("local", "remote", "reason"),
    [
        ("192.0.2.77", "127.0.0.1", "192.0.2.77 is not an address of this host"),
        ("127.0.0.1", "192.0.2.77", "unusable source address"),
    ],
)
async def test_what_cannot_leave_is_said(local: str, remote: str, reason: str) -> None:
    """A knock that sends nothing is no answer of the remote's."""
    found = await knock(socket.AF_INET, Endpoint(local, 0), Endpoint(remote, 7), 1.0)
    assert found.answer is Answer.UNSENT
    assert reason in found.reason


async def test_the_only_error_the_system_tells_stays_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no ICMP message is shown, its errno is what there is to tell."""

    def unreachable(_: socket.socket) -> int:
        return errno.EHOSTUNREACH

    monkeypatch.setattr(_probe, "_pending_error", unreachable)
    with socket.create_server(("127.0.0.1", 0)) as server:
        end = Endpoint(*server.getsockname())
        found = await knock(socket.AF_INET, ANYWHERE, end, 1.0)
    assert (found.answer, found.reason) == (Answer.ERROR, "host unreachable")


GATEWAYS = {
    "open": None,
    "drop": lab.Firewall(),
    "rst": lab.Firewall(unsolicited=lab.Unsolicited.RST),
    "icmp": lab.Firewall(unsolicited=lab.Unsolicited.ICMP),
    "kernel": lab.KernelFirewall(unsolicited=lab.KernelAnswer.ICMP),
}


def sites() -> list[lab.Site]:
    """A host behind each gateway, and the doctor's."""
    return [
        lab.Site("home", hosts=["doctor"], link=LINK),
        *(
            lab.Site(f"site-{name}", hosts=[name], gateway=gateway, link=LINK)
            for name, gateway in GATEWAYS.items()
        ),
    ]


def codes(examination: doctor.Examination) -> list[str]:
    """The findings about the remote."""
    return [each.code for each in examination.findings if each.subject is doctor.Subject.REMOTE]


def syns(records: Iterable[Record]) -> Counter[str]:
    """How many SYNs the doctor has sent to whom."""
    records = list(records)
    return Counter(
        step.receiver
        for each in ladder.conversations(records)
        for step in ladder.steps(records, each)
        if (step.flags, step.sender) == ("SYN", "doctor")
    )


async def until_it_listens(host: lab.Host) -> None:
    """Wait for the server."""
    with anyio.fail_after(20):
        while not host.listeners():  # noqa: ASYNC110
            await anyio.sleep(0.02)


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_every_kind_of_remote(tmp_path: Path) -> None:
    """Listener, reset, silence and ICMP errors are told apart, over both families, politely."""
    expected = {
        ("open", LISTENING): "remote-listens",
        ("open", CLOSED): "remote-refuses",
        ("drop", CLOSED): "remote-silent",
        ("rst", CLOSED): "remote-refuses",
        ("icmp", CLOSED): "remote-filtered",
        ("kernel", CLOSED): "remote-filtered",
    }
    found: dict[tuple[str, int, int], doctor.Examination] = {}

    async def observe() -> Counter[str]:
        async def one(host: str, port: int, version: int) -> None:
            address = net[host].ipv4 if version == 4 else f"[{net[host].ipv6}]"
            found[host, port, version] = await net["doctor"].call(look, f"{address}:{port}", None)

        network = lab.network(sites(), capture=tmp_path / "x.pcapng")
        async with network as net, anyio.create_task_group() as servers:
            servers.start_soon(net["open"].call, listen, LISTENING)
            await until_it_listens(net["open"])
            async with anyio.create_task_group() as group:
                for host, port in expected:
                    group.start_soon(one, host, port, 4)
                group.start_soon(one, "icmp", CLOSED, 6)
            servers.cancel_scope.cancel()
        return syns(await net.records())

    sent = anyio.run(observe)
    for (host, port, version), examination in found.items():
        assert codes(examination) == [expected[host, port]], (host, version)
        assert examination.hinders is (port == LISTENING)
    for version in (4, 6):
        told = found["icmp", CLOSED, version].remote
        assert told is not None
        assert told.knocks[0].icmp is not None
        assert told.knocks[0].icmp.version == version
        assert told.knocks[0].icmp.sender
    assert sent["open"] <= 2 * MOST_SYNS  # two of its ports
    assert all(2 <= each <= MOST_SYNS for whom, each in sent.items() if whom != "open"), sent
    assert len(sent) == len(GATEWAYS) + 1


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
@pytest.mark.parametrize("gateway", ["open", "drop"])
def test_a_peer_that_is_connecting(gateway: str) -> None:
    """It opens for the port that it expects and for no other: no listener."""
    met: list[str] = []

    async def observe() -> doctor.Examination:
        async def peer() -> None:
            remote = f"{net['doctor'].ipv4}:{MEETING}"
            met.append(await net[gateway].call(meet, remote, f"0.0.0.0:{MEETING}"))

        async with lab.network(sites()) as net, anyio.create_task_group() as group:
            group.start_soon(peer)
            with anyio.fail_after(20):
                while not await net["doctor"].call(syn_arrives, MEETING):
                    pass
            ends = f"{net[gateway].ipv4}:{MEETING}", f"0.0.0.0:{MEETING}"
            examination: doctor.Examination = await net["doctor"].call(look, *ends)
        return examination

    examination = anyio.run(observe)
    assert codes(examination) == ["remote-peer"]
    assert met[0].startswith("met ")
