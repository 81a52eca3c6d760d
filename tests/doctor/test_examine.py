from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

import simopen
from simopen import Coordinator, Endpoint, SelfConnectionError, UsageError, doctor
from simopen.doctor import Answer, Severity, Subject, _examine, _probe, examine
from simopen.doctor._machine import read_machine
from tests.helpers import free_port, no_socket_left, silent_endpoint

pytestmark = pytest.mark.anyio


async def test_this_machine_alone() -> None:
    """Without arguments nothing is asked of anybody."""
    with no_socket_left():
        examination = await examine()
    assert {each.subject for each in examination.findings} == {Subject.MACHINE}
    assert (examination.port, examination.remote) == (None, None)
    assert not examination.coordinators + examination.mappings


async def test_everything_at_once() -> None:
    """One port: looked at, shown to a coordinator, and knocked from."""
    local, remote = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    steps: list[str] = []
    async with Coordinator("127.0.0.1:0") as there:
        url = f"tcp://{there.endpoints[0]}"
        examination = await examine(remote, local=local, rendezvous=url, on_step=steps.append)
    codes = {each.code for each in examination.findings}
    assert {"port-free", "port-outside", "coordinator", "nat-none", "remote-refuses"} <= codes
    assert examination.remote is not None
    assert examination.remote.port_is_named
    assert str(examination.mappings[0].local) == local
    assert steps[1:] == [f"visiting {url}", f"knocking at {remote}"]


async def test_who_listens_hinders() -> None:
    """And the verdict says so."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        examination = await examine(server.getsockname())
    assert examination.hinders
    hindering = [each.code for each in examination.findings if each.severity is Severity.HINDERS]
    assert "remote-listens" in hindering


async def test_a_port_that_is_taken_is_not_knocked_from() -> None:
    """The remote is asked from another one, and its answer told all the same."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        local = "{}:{}".format(*taken.getsockname())
        async with Coordinator("127.0.0.1:0") as there:
            url = f"tcp://{there.endpoints[0]}"
            examination = await examine(f"127.0.0.1:{free_port()}", local=local, rendezvous=url)
    assert {"port-taken", "remote-refuses", "nat-none"} <= {e.code for e in examination.findings}
    assert examination.remote is not None
    assert not examination.remote.port_is_named
    assert str(examination.mappings[0].local) != local


@pytest.mark.parametrize("local", [None, "127.0.0.1:20000"])
async def test_a_name_that_leads_nowhere(local: str | None) -> None:
    """It is a finding, not an error."""
    examination = await examine("no.such.name.invalid:40000", local=local)
    assert "remote-unresolved" in {each.code for each in examination.findings}


async def test_a_name_that_leads_somewhere() -> None:
    """Its address is knocked at."""
    port = free_port()
    examination = await examine(f"localhost:{port}")
    assert examination.remote is not None
    assert examination.remote.remote == Endpoint("127.0.0.1", port)
    assert examination.remote.knocks[0].answer is Answer.RESET


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"remote": "nonsense"}, "remote 'nonsense'"),
        ({"remote": "192.0.2.1:1-3"}, "one endpoint at a time"),
        ({"remote": "224.0.0.1:7"}, "multicast"),
        ({"local": "somewhere:7"}, "is a name"),
        ({"local": "0.0.0.0:0"}, "port 0"),
        ({"remote": "192.0.2.1:7", "local": "[::]:7"}, "IPv6"),
        ({"rendezvous": "http://192.0.2.1"}, "tcp://host:port"),
        ({"rendezvous": ["tcp://192.0.2.1", "x"]}, "tcp://host:port"),
    ],
)
async def test_wrong_use(arguments: dict[str, Any], words: str) -> None:
    """Is told before anything is sent."""
    steps: list[str] = []
    with pytest.raises(UsageError, match=words):
        await examine(**arguments, on_step=steps.append)
    assert steps == []


async def test_oneself() -> None:
    """A socket that would connect to itself is wrong use as well."""
    with pytest.raises(SelfConnectionError):
        await examine("127.0.0.1:20000", local="0.0.0.0:20000")


async def test_another_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Linux's files and options there is less to say, and no error."""

    async def read_there() -> doctor.Machine:
        return await read_machine(tmp_path)

    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr(_examine, "read_machine", read_there)
    monkeypatch.setattr(_probe, "_IS_LINUX", False)
    examination = await examine(f"127.0.0.1:{free_port()}", local=f"127.0.0.1:{free_port()}")
    codes = {each.code for each in examination.findings}
    assert {"other-system", "port-free", "remote-refuses"} <= codes
    assert not codes & {"kernel", "syn-schedule", "port-range", "timestamps", "firewall-unseen"}
    assert examination.syn_schedule is None


async def test_no_socket_can_be_had_for_coordinators(monkeypatch: pytest.MonkeyPatch) -> None:
    """The visits fail in words; the rest goes on."""

    async def fail(*_: object) -> None:
        raise simopen.LocalBindError(24, "no more sockets", local=Endpoint("0.0.0.0", 0))

    monkeypatch.setattr(_examine, "visit_all", fail)
    examination = await examine(rendezvous="tcp://127.0.0.1:7337")
    (visit,) = examination.coordinators
    assert (visit.trouble, visit.reason) == (doctor.Trouble.UNREACHABLE, "no more sockets")


async def test_json_has_everything() -> None:
    """Facts and findings go through JSON, endpoints as text."""
    async with Coordinator("127.0.0.1:0") as there:
        local = f"127.0.0.1:{free_port()}"
        examination = await examine(
            f"127.0.0.1:{free_port()}", local=local, rendezvous=f"tcp://{there.endpoints[0]}"
        )
    told = json.loads(json.dumps(examination.to_json()))
    assert told["schema"] == 1
    assert told["hinders"] is examination.hinders
    assert len(told["findings"]) == len(examination.findings)
    assert set(told["findings"][0]) == {
        *("code", "subject", "severity", "title", "meaning", "advice"),
    }
    assert told["facts"]["port"]["local"] == local
    assert told["facts"]["mappings"][0]["observed"] == [local, local]
    assert told["facts"]["remote"]["knocks"][0]["answer"] == "reset"
    assert told["facts"]["machine"]["port_range"]["first"] < 65535


def test_nothing_of_it_is_imported_with_simopen() -> None:
    """A program that connects does without."""
    program = "import simopen, sys; sys.exit('simopen.doctor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("name", doctor.__all__)
def test_every_public_name_is_told(name: str) -> None:
    """``help()`` says something for each."""
    assert (getattr(doctor, name).__doc__ or "").strip()


async def test_a_cancelled_examination_leaves_no_socket() -> None:
    """While it waits for a remote that says nothing."""
    with silent_endpoint() as address, no_socket_left():
        with anyio.move_on_after(0.5) as scope:
            await examine(address)
        assert scope.cancelled_caught
