"""``simopen measure`` as two users run it, between two hosts behind NATs; and what it refuses."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from simopen import Invite, lab
from simopen.cli._app import run
from simopen.measure._records import Results, read_results
from tests.helpers import free_port

SIMOPEN = [sys.executable, "-m", "simopen"]
PORT = 7337
PATIENCE = 100  # seconds for what takes a few
LINK = lab.Link(latency=0.010)
ROUND_TRIP = 0.040  # seconds

Meanwhile = Callable[[dict[str, Process], Path], Awaitable[None]]


WRONG = [  # arguments, and what is said of them
    ([], "whom to measure with"),
    (["a:1"], "whom to measure with"),
    (["a:1", "--local", "b:1", "--room", "r"], "--room is at a coordinator"),
    (["a:1", "--rendezvous", "tcp://c"], "exclude each other"),
    (["a:1-2", "--local", "b:1"], "give the first one"),
    (["a:65530", "--local", "b:1"], "65514 or less"),
    (["a:1", "--local", "b:1", "--trials", "0"], "--trials: 1 to"),
    (["a:1", "--local", "b:1", "--timeout", "0"], "--timeout: seconds"),
    (["a:1", "--local", "b:1", "--timeout", "1e9"], "up to 3,600"),
    (["a:1", "--local", "b:1", "--wait", "nan"], "--wait: seconds"),
    (["a:1", "--local", "b:1", "--skew", "0;1"], "give seconds"),
    (["a:1", "--local", "b:1", "--skew", "-1"], "--skew: up to"),
    (["a:1", "--local", "b:1", "--label", ""], "--label: 1 to"),
    (["a:1", "--local", "b:1", "--label", "a\x1b[2J"], "--label: 1 to"),
]


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the commands choose theirs."""
    return request.param


@dataclass
class Ended:
    """A command that has ended.

    Attributes:
        code: Its exit code.
        out: Its standard output.
        err: Its standard error.
        file: What it has written.
    """

    code: int
    out: str
    err: str
    file: Path

    @property
    def results(self) -> Results:
        """The one run in its file."""
        with self.file.open() as lines:
            (results,) = read_results(lines)
        return results


class Stage:
    """Two homes and a coordinator, and the command in both of them."""

    def __init__(self, net: lab.Network, folder: Path) -> None:
        self.net = net
        self._folder = folder
        self._invite = folder / "invite"
        self._invite.touch(0o600)
        self._invite.write_text(Invite.new("kitchen").reveal())

    def introduced(self, *options: str) -> Sequence[str]:
        """The arguments through the coordinator."""
        url = f"tcp://{self.net['server'].ipv4}:{PORT}"
        return ("--rendezvous", url, "--invite-file", str(self._invite), *options)

    async def start(self, name: str, *arguments: str) -> Process:
        """The command, in a host."""
        command = [*SIMOPEN, "measure", *arguments]
        command += ["--label", name, "--out", str(self._folder / name)]
        command += [] if "--wait" in arguments else ["--wait", "60"]
        pipe = subprocess.PIPE
        return await self.net[name].popen(command, stdout=pipe, stderr=pipe)

    async def both(
        self, alice: Sequence[str], bob: Sequence[str], meanwhile: Meanwhile | None = None
    ) -> dict[str, Ended]:
        """Run the command in both homes until it has ended there."""
        found: dict[str, Ended] = {}
        processes = {
            "alice": await self.start("alice", *alice),
            "bob": await self.start("bob", *bob),
        }
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                for name, process in processes.items():
                    group.start_soon(self._gather, name, process, found)
                if meanwhile is not None:
                    await meanwhile(processes, self._folder)
        return found

    async def _gather(self, name: str, process: Process, found: dict[str, Ended]) -> None:
        texts: dict[str, str] = {}

        async def read(stream: str) -> None:
            pipe = getattr(process, stream)
            texts[stream] = b"".join([chunk async for chunk in pipe]).decode()

        async with anyio.create_task_group() as group:
            group.start_soon(read, "stdout")
            group.start_soon(read, "stderr")
        code = await process.wait()
        found[name] = Ended(code, texts["stdout"], texts["stderr"], self._folder / name)


@asynccontextmanager
async def stage(folder: Path, gateway: str = "home-router") -> AsyncIterator[Stage]:
    """A network with alice and bob behind such gateways, and a coordinator on a server."""
    sites = [
        lab.Site("home", hosts=["alice"], gateway=gateway, link=LINK),
        lab.Site("flat", hosts=["bob"], gateway=gateway, link=LINK),
        lab.Site("net", hosts=["server"], link=lab.Link(latency=0.005)),
    ]
    async with lab.network(sites, seed=1) as net:
        command = [*SIMOPEN, "coordinator", "--listen", f"0.0.0.0:{PORT}"]
        await net["server"].popen(command, stderr=subprocess.DEVNULL)
        with anyio.fail_after(PATIENCE):
            while not any(each.port == PORT for each in net["server"].listeners()):  # noqa: ASYNC110
                await anyio.sleep(0.05)
        yield Stage(net, folder)


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=lambda each: str(each)[:40])
def test_wrong_use(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Is said before anything is sent, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    assert run(["measure", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_a_file_that_is_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Is not written over."""
    file = tmp_path / "results"
    file.write_text("of yesterday")
    assert run(["measure", "a:1", "--local", "b:1", "--out", str(file)]) == 2
    assert "File exists" in capsys.readouterr().err
    assert file.read_text() == "of yesterday"


def test_nobody_comes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The run ends when the peer was waited for; table and file have what was tried."""
    file = tmp_path / "results"
    ends = [f"127.0.0.1:{free_port()}", "--local", f"127.0.0.1:{free_port()}"]
    assert run(["measure", *ends, "--wait", "0.3", "--out", str(file)]) == 1
    told = capsys.readouterr()
    assert "success: 0 of 0, nothing is known" in told.out
    assert "told nothing of them: peer not connecting (1)" in told.out
    assert "had it been there each time, success: 0 of 1, 0.0 %" in told.out
    assert "could not connect" in told.err
    (results,) = read_results(file.read_text().splitlines())
    (tried,) = results.trials
    assert (tried.number, tried.ok, tried.theirs) == (0, False, None)
    assert tried.ours.attempts > 0
    assert tried.ours.events
    assert results.end is not None
    assert "the peer was not met" in results.end.why


def test_records_on_standard_output(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With --json they take the table's place, and are the file's."""
    file = tmp_path / "results"
    ends = [f"127.0.0.1:{free_port()}", "--local", f"127.0.0.1:{free_port()}"]
    assert run(["measure", *ends, "--wait", "0.2", "--json", "--out", str(file)]) == 1
    assert capsys.readouterr().out == file.read_text()


@pytest.mark.anyio
@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
class TestTwoHosts:
    """Two homes, each behind its NAT."""

    async def test_through_a_coordinator(self, tmp_path: Path) -> None:
        """Every trial connects, both sides know the same of it, and both print the same figures."""
        async with stage(tmp_path) as each:
            options = each.introduced("--trials", "6", "--skew", "0,0.1")
            ended = await each.both(options, options)
        alice, bob = ended["alice"], ended["bob"]
        assert (alice.code, bob.code) == (0, 0), alice.err + bob.err
        for side, other in ((alice, bob), (bob, alice)):
            run_, trials = side.results.run, side.results.trials
            assert [trial.number for trial in trials] == [1, 2, 3, 4, 5, 6]
            assert all(trial.ok for trial in trials)
            assert run_.run == other.results.run.run
            assert run_.peer_label == other.results.run.label
            assert run_.peer_environment == other.results.run.environment
            assert run_.environment["sysctls"]["tcp_syn_retries"]
        pairs = zip(alice.results.trials, bob.results.trials, strict=True)
        for ours, theirs in pairs:
            assert ours.theirs == theirs.ours
            assert ours.skew == pytest.approx(-(theirs.skew or 0.0), abs=1e-5)
            assert ours.took == pytest.approx(theirs.took, abs=1e-5)
            assert ours.limit is not None
            assert ours.took is not None
            assert ours.limit >= 3 * ROUND_TRIP
            assert ours.bound is not None
            # The clocks agree but for part of a round trip, however busy the machine is.
            assert ours.took > ours.limit - ROUND_TRIP
            assert ours.ours.mapping != "varies"  # who comes last is not asked about it
            assert ours.ours.coordinator_round_trip is not None
            assert ours.ours.coordinator_round_trip >= 0.030
            assert ours.ours.events
        planned = [trial.planned for trial in alice.results.trials]
        assert sorted(map(abs, filter(None, planned))) == [0.1, 0.1]
        assert alice.out.splitlines()[0].startswith("alice <-> bob, rendezvous, encrypted")
        assert "success: 6 of 6, 100.0 % (95 % interval 61.0 to 100.0 %)" in alice.out
        assert "NAT of bob: mapping " in alice.out
        assert "port kept" in alice.out
        assert alice.out.splitlines()[1:-3] == bob.out.splitlines()[1:-3]

    async def test_with_fixed_endpoints(self, tmp_path: Path) -> None:
        """Each trial has the next ports, and the connection is plain TCP without a secret."""
        async with stage(tmp_path) as each:
            public = {name: each.net[name].public_ipv4 for name in ("alice", "bob")}
            options = ("--trials", "4", "--skew", "0,0.1")
            ended = await each.both(
                (f"{public['bob']}:41000", "--local", "0.0.0.0:40000", *options),
                (f"{public['alice']}:40000", "--local", "0.0.0.0:41000", *options),
            )
        assert [ended[name].code for name in ("alice", "bob")] == [0, 0], ended
        results = ended["alice"].results
        assert (results.run.mode, results.run.encrypted) == ("direct", False)
        assert all(trial.ok and trial.theirs is not None for trial in results.trials)
        ports = [trial.ours.local.rpartition(":")[2] for trial in results.trials]
        assert ports == ["40001", "40002", "40003", "40004"]
        assert all(trial.bound is None for trial in results.trials)

    async def test_a_pair_that_can_never_connect(self, tmp_path: Path) -> None:
        """Each opening is a failed trial with its diagnosis; the run ends with a table, and 1."""
        async with stage(tmp_path, "symmetric") as each:
            without_ipv6 = "--local", "0.0.0.0:0"
            options = each.introduced("--trials", "1", "--wait", "12", *without_ipv6)
            ended = await each.both(options, options)
        for side in ended.values():
            assert side.code == 1, side.err
            assert [trial.number for trial in side.results.trials] == [0]
            assert all(trial.ours.rounds for trial in side.results.trials)
            assert side.results.end is not None
            assert side.results.end.why == "no opening has connected"
            assert "success: 0 of 1, 0.0 %" in side.out
            assert "failures: address-dependent mapping (1)" in side.out

    async def test_an_interrupt(self, tmp_path: Path) -> None:
        """Ctrl-C and SIGTERM in mid-run still print and keep what there is."""

        async def interrupt(processes: dict[str, Process], folder: Path) -> None:
            while True:
                await anyio.sleep(0.2)
                told = [folder / name for name in processes]
                if all(file.exists() and file.read_text().count('"trial"') > 1 for file in told):
                    break
            processes["alice"].send_signal(signal.SIGINT)
            processes["bob"].send_signal(signal.SIGTERM)

        async with stage(tmp_path) as each:
            options = each.introduced("--trials", "1000", "--skew", "0")
            ended = await each.both(options, options, interrupt)
        assert {name: side.code for name, side in ended.items()} == {"alice": 130, "bob": 143}
        for side in ended.values():
            assert side.results.end is not None
            assert (side.results.end.finished, side.results.end.why) == (False, "interrupted")
            assert sum(trial.ok for trial in side.results.trials) >= 1
            assert "of 1,000 trials were run; interrupted" in side.out

    async def test_different_options(self, tmp_path: Path) -> None:
        """Both sides say what differs, as wrong use, and leave no file."""
        async with stage(tmp_path) as each:
            ended = await each.both(
                each.introduced("--trials", "3"),
                each.introduced("--trials", "4", "--timeout", "9"),
            )
        assert {side.code for side in ended.values()} == {2}, ended
        assert "trials: 3 here, 4 there; timeout: 10.0 here, 9.0 there" in ended["alice"].err
        assert "trials: 4 here, 3 there" in ended["bob"].err
        assert not any(side.file.exists() for side in ended.values())
