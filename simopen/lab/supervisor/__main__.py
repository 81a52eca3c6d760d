"""The process that holds a lab: its hosts, its wire and its recorder.

Theory of operation
-------------------
Run as `python -m simopen.lab.supervisor`, it reads a `Plan` from standard input, builds the hosts,
answers with one line of JSON, and forwards packets until it is told to end: standard input reaches
its end, its parent dies, or a SIGTERM or SIGINT comes. Then it kills whoever is left inside the
hosts, reports its counters in a second line and exits. The namespaces are anonymous and held by its
descriptors alone, so its own death, however it comes, removes them and everything in them.

It is a process of its own, with one thread and no event loop, because it must unshare user and
network namespaces, and because nothing the user's program does may delay a packet.

Its answers on standard output, one line of JSON each, are those of `simopen.lab._protocol`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from dataclasses import dataclass

from simopen.lab._errors import LabUnavailable
from simopen.lab._plan import Plan, SitePlan
from simopen.lab._protocol import Access, Answer, Ended, Ready, Traffic, Unavailable
from simopen.lab.nat import KernelFirewall, KernelNat
from simopen.lab.supervisor import _kernel, _namespace, _router
from simopen.lab.supervisor._forwarder import Forwarder
from simopen.lab.supervisor._recorder import Recorder
from simopen.lab.wire.fabric import Fabric


def main() -> int:
    """Hold a lab from the first line of standard input to its end; return the exit status."""
    stops = [sys.stdin.fileno(), _wake_on_signal(), os.pidfd_open(os.getppid())]
    line = sys.stdin.buffer.readline()
    if not line:
        return 0  # the parent thought better of it
    plan = Plan.from_json(line)
    try:
        world = _build(plan)
    except LabUnavailable as error:
        _answer(Unavailable(str(error)))
        return 1
    try:
        _hold(plan, world, stops)
    finally:
        _namespace.kill_inhabitants(world.hosts)
    return 0


@dataclass(frozen=True, slots=True)
class _World:
    """What was built.

    Attributes:
        in_user_namespace: Whether that took a user namespace of our own.
        hosts: In the plan's order.
        routers: Likewise.
    """

    in_user_namespace: bool
    hosts: list[_namespace.Namespace]
    routers: list[_router.Router]

    def tuns(self) -> list[int]:
        """Return the devices in the order of a fabric's ports."""
        hosts = [host.tun for host in self.hosts]
        routers = [tun for router in self.routers for tun in (router.outside, router.inside)]
        return hosts + routers

    def access(self, host: _namespace.Namespace) -> Access:
        """Return how others get at a host: through our descriptors."""
        ours = f"/proc/{os.getpid()}"
        user = f"{ours}/ns/user" if self.in_user_namespace else None
        first, second = (f"{ours}/fd/{table}" for table in host.tables)
        return Access(f"{ours}/fd/{host.net}", user, (first, second))


def _hold(plan: Plan, world: _World, stops: list[int]) -> None:
    """Say that the lab is ready and carry its packets until it ends."""
    gateways = [site.name for site in plan.walk() if site.gateway is not None]
    recorder = Recorder(plan.captures, gateways) if plan.captures else None
    fabric = Fabric(plan, None if recorder is None else recorder.note)
    forwarder = Forwarder(fabric, world.tuns(), stops, recorder, plan.mtu)
    _answer(Ready({host.name: world.access(host) for host in world.hosts}))
    _take_precedence()
    gc.freeze()  # or every full collection would walk all modules, for milliseconds
    forwarder.run()
    if recorder is not None:
        recorder.close()
    _answer(Ended(_traffic(fabric), fabric.unroutable, forwarder.refused))


def _take_precedence() -> None:
    """Run before all ordinary processes, as a wire would, where we may (CAP_SYS_NICE).

    Measured with both of two cores busy: 0.2 ms late at p99 with it, 3.5 ms without, and no better
    with the highest ordinary priority. The kernel keeps a twentieth of the time for the others.
    """
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def _traffic(fabric: Fabric) -> dict[str, Traffic]:
    return {
        name: Traffic(up.counts, down.counts, model.counts if model else None)
        for name, (up, down) in fabric.links.items()
        for model in [fabric.gateways.get(name)]
    }


def _build(plan: Plan) -> _World:
    """Build hosts and routers and move out of the last."""
    in_user_namespace = _gain_privilege()
    try:
        hosts = [_namespace.build(host, plan.mtu) for host in plan.hosts()]
        routers = [_router.build(_router_plan(*pair), plan.mtu) for pair in plan.routers()]
        _kernel.new_net_namespace()
    except ModuleNotFoundError as error:
        text = f"{error.name} is not installed: pip install 'simopen[lab]'"
        raise LabUnavailable(text) from error
    except FileNotFoundError as error:
        raise LabUnavailable(f"{error.filename} is missing: modprobe tun") from error
    except PermissionError as error:
        what = error.filename or "a network namespace"
        raise LabUnavailable(f"may not use {what}: {error.strerror}") from error
    return _World(in_user_namespace, hosts, routers)


def _router_plan(site: SitePlan, gateway: KernelNat | KernelFirewall) -> _router.RouterPlan:
    return _router.RouterPlan(
        name=site.name,
        gateway=gateway,
        ipv4=site.ipv4,
        ipv6=site.ipv6,
        inside_ipv4=tuple(f"{address}/32" for address in site.inner_addresses(4)),
        inside_ipv6=tuple(f"{address}/128" for address in site.inner_addresses(6)),
    )


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


def _answer(message: Answer) -> None:
    """Send one line to the parent, which may be gone."""
    try:
        sys.stdout.buffer.write(message.to_json())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Python flushes once more at exit and would complain again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
