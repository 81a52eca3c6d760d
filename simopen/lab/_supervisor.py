"""The process that holds a lab: its hosts, its wire and its recorder.

Theory of operation
-------------------
Run as `python -m simopen.lab._supervisor`, it reads a `Plan` from standard input, builds the hosts,
answers with one line of JSON, and forwards packets until it is told to end: standard input reaches
its end, its parent dies, or a SIGTERM or SIGINT comes. Then it kills whoever is left inside the
hosts, reports its counters in a second line and exits. The namespaces are anonymous and held by its
descriptors alone, so its own death, however it comes, removes them and everything in them.

It is a process of its own, with one thread and no event loop, because it must unshare user and
network namespaces, and because nothing the user's program does may delay a packet.

Answers on standard output, one line each:
    {"ready": {HOST: {"ns": PATH, "tables": [PATH, PATH]}, ...}, "user": PATH or null}
    {"unavailable": TEXT}
    {"counts": {HOST: {"accepted": N, "overflowed": N}, ...}, "refused": N}
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict

from simopen.lab import _kernel, _namespace
from simopen.lab._errors import LabUnavailable
from simopen.lab._forwarder import Forwarder
from simopen.lab._plan import Plan
from simopen.lab._recorder import Recorder
from simopen.lab.wire import Wire


def main() -> int:
    """Hold a lab from the first line of standard input to its end; return the exit status."""
    stops = [sys.stdin.fileno(), _wake_on_signal(), os.pidfd_open(os.getppid())]
    line = sys.stdin.buffer.readline()
    if not line:
        return 0  # the parent thought better of it
    plan = Plan.from_json(line)
    try:
        in_user_namespace, hosts = _build(plan)
    except LabUnavailable as error:
        _answer({"unavailable": str(error)})
        return 1
    try:
        _hold(plan, hosts, stops, in_user_namespace=in_user_namespace)
    finally:
        _namespace.kill_inhabitants(hosts)
    return 0


def _hold(
    plan: Plan, hosts: list[_namespace.Namespace], stops: list[int], *, in_user_namespace: bool
) -> None:
    """Say that the lab is ready and carry its packets until it ends."""
    recorder = Recorder(plan.capture, [host.name for host in hosts]) if plan.capture else None
    wire = Wire.cable(plan.delay_ns, plan.capacity)
    forwarder = Forwarder(wire, [host.tun for host in hosts], stops, recorder, plan.mtu_bytes)
    pid = os.getpid()
    user = f"/proc/{pid}/ns/user" if in_user_namespace else None
    _answer({"ready": {host.name: host.describe(pid) for host in hosts}, "user": user})
    forwarder.run()
    if recorder is not None:
        recorder.close()
    counts = {hosts[port].name: asdict(count) for port, count in wire.counts().items()}
    _answer({"counts": counts, "refused": forwarder.refused})


def _build(plan: Plan) -> tuple[bool, list[_namespace.Namespace]]:
    """Build the hosts and move out of the last; also tell whether a user namespace was needed."""
    in_user_namespace = _gain_privilege()
    try:
        hosts = [_namespace.build(host, plan.mtu_bytes) for host in plan.hosts]
        _kernel.new_net_namespace()
    except ModuleNotFoundError as error:
        text = f"{error.name} is not installed: pip install 'simopen[lab]'"
        raise LabUnavailable(text) from error
    except FileNotFoundError as error:
        raise LabUnavailable(f"{error.filename} is missing: modprobe tun") from error
    except PermissionError as error:
        what = error.filename or "a network namespace"
        raise LabUnavailable(f"may not use {what}: {error.strerror}") from error
    return in_user_namespace, hosts


def _gain_privilege() -> bool:
    """Become able to make network namespaces; return whether that took a user namespace."""
    try:
        _kernel.new_net_namespace()
    except PermissionError:
        _enter_user_namespace()
        return True
    return False


def _enter_user_namespace() -> None:
    try:
        _kernel.new_user_namespace()
    except OSError as error:
        raise LabUnavailable(
            f"not root, and user namespaces are closed to this user: {error}"
        ) from error


def _wake_on_signal() -> int:
    """Return a descriptor that becomes readable when the process is told to end."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # without a handler there is no wake-up
    return reader


def _answer(message: dict[str, object]) -> None:
    """Send one line to the parent, which may be gone."""
    try:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit and would complain again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
