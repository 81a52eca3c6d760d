"""A host of a running network: where programs are run.

A process is put into a host by `nsenter`, which enters the namespace and then becomes the command,
so its process id, its standard streams and its signals are the command's own. A Python callable
goes the same way, by name, into a fresh interpreter (`_callee`).
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypedDict, TypeVar, Unpack

import anyio
from anyio.abc import Process

from simopen.lab import _callee
from simopen.lab._available import supervisor_environment
from simopen.lab._errors import CallFailed
from simopen.lab._plan import HostPlan
from simopen.lab._protocol import Access
from simopen.lab._sockets import Listener, listeners

T = TypeVar("T")


class ProcessOptions(TypedDict, total=False):
    """What `Host.run` and `Host.popen` pass on to anyio, and what it means there."""

    stdin: int | IO[bytes] | None
    stdout: int | IO[bytes] | None
    stderr: int | IO[bytes] | None
    cwd: str | os.PathLike[str] | None
    env: Mapping[str, str] | None
    start_new_session: bool


@dataclass(eq=False)
class Host:
    """One host of a running network.

    Attributes:
        name: What it is called.
        site: Name of the site it is in.
        ipv4: Its IPv4 address, which behind a NAT only its own site knows.
        ipv6: Its IPv6 address.
        public_ipv4: The IPv4 address that the internet sees it by: of the outermost NAT in front
            of it, or its own.
    """

    name: str
    site: str
    ipv4: str
    ipv6: str
    public_ipv4: str
    _access: Access = field(repr=False)
    _processes: list[Process] = field(default_factory=list, repr=False)

    @classmethod
    def from_plan(cls, plan: HostPlan, site: str, public_ipv4: str, access: Access) -> Host:
        """Make the host that was planned.

        Args:
            plan: Its name and addresses.
            site: Name of its site.
            public_ipv4: The address that the internet sees.
            access: The way into its namespaces.
        """
        return cls(plan.name, site, plan.ipv4, plan.ipv6, public_ipv4, access)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs another in this host, for whoever starts processes.

        Args:
            argv: The program and its arguments.
        """
        return self._access.command(list(argv))

    async def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,  # noqa: A002  # anyio's name
        check: bool = True,
        **options: Unpack[ProcessOptions],
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in this host until it ends, as `anyio.run_process` does.

        Args:
            argv: The program and its arguments.
            input: What it reads on standard input.
            check: Whether an exit code other than 0 is an error.
            **options: Passed on to `anyio.run_process`.

        Raises:
            CalledProcessError: It has failed, and `check` is true.
        """
        command = self.command(argv)
        return await anyio.run_process(command, input=input, check=check, **options)

    async def popen(self, argv: Sequence[str], **options: Unpack[ProcessOptions]) -> Process:
        """Start a command in this host, as `anyio.open_process` does.

        What still runs when the network ends is killed and, under `async with`, reaped.

        Args:
            argv: The program and its arguments.
            **options: Passed on to `anyio.open_process`.
        """
        with anyio.CancelScope(shield=True):  # or a cancellation could lose a running process
            process = await anyio.open_process(self.command(argv), **options)
            self._processes.append(process)
        await anyio.lowlevel.checkpoint_if_cancelled()
        return process

    async def call(
        self,
        function: Callable[..., Any],
        *args: object,
        backend: str = "asyncio",
        backend_options: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  # whatever the function returns
        """Call a Python function in this host, in a fresh interpreter, and return its result.

        A coroutine function is run by `anyio.run`. The function is found by its module and name
        there, so it stands at the top level of a module or of a script; arguments, result and
        exception are pickled. Its standard output and error are ours. A cancellation kills it.

        Args:
            function: What to call.
            *args: Its arguments.
            backend: The event loop a coroutine function runs on, "asyncio" or "trio".
            backend_options: What anyio is told of it, such as `{"use_uvloop": True}`.

        Raises:
            CallFailed: The interpreter ended without an answer.
            ValueError: The function cannot be found by a name.
            Exception: Whatever the function raised, with the other side's traceback as a note.
        """
        request = _callee.Request.of(function, args, backend, dict(backend_options or {}))
        with _callee.answer_file() as answer:
            argv = [sys.executable, "-P", "-c", _callee.PROGRAM, str(answer.fileno())]
            done = await anyio.run_process(
                self.command(argv),
                input=pickle.dumps(request),
                check=False,
                stdout=None,
                stderr=None,
                env=supervisor_environment(),
                pass_fds=[answer.fileno()],
            )
            answer.seek(0)
            data = answer.read()
        if not data:
            raise CallFailed(f"{function!r} ended with status {done.returncode} and no answer")
        return _callee.result(data)

    def listeners(self) -> list[Listener]:
        """Return the TCP sockets that listen in this host, both families."""
        tables = (Path(path).read_text() for path in self._access.tables)
        return [listener for table in tables for listener in listeners(table)]

    async def aclose(self) -> None:
        """Kill and reap what `popen` started. The network does this at its end."""
        with anyio.CancelScope(shield=True):
            for process in self._processes:
                if process.returncode is None:
                    process.kill()
                await process.aclose()
