"""Carries packets between TUN devices over a `Fabric`, in real time.

Theory of operation
-------------------
One thread, one loop: wait until a device is readable or the wire's next event is due; read every
readable device in batches into the wire; write what has come out. Nothing blocks but the wait.

The wait is `select` on the epoll descriptor, because epoll itself counts in milliseconds and
`select` in microseconds; the kernel's timer slack (50 µs by default) is set to its least. Waking a
core that sleeps takes 0.1 to 0.2 ms all the same, so the wait ends that much early and the rest is
spent going round. Descriptors other than devices are stops: a readable one ends the loop.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from pathlib import Path
from typing import TYPE_CHECKING

from simopen.capture.pcapng import Direction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simopen.lab.supervisor._recorder import Recorder
    from simopen.lab.wire.fabric import Delivery, Fabric

_BATCH_PACKETS = 64  # read from one device before the others, and what is due, get their turn
_EARLY_NS = 200_000  # measured: 0.01 ms late at the median with it, 0.07 to 0.2 ms without
_NS_PER_S = 1_000_000_000


class Forwarder:
    """The executor of a fabric.

    Args:
        fabric: The pure wire.
        tuns: Non-blocking descriptors of the devices, by port number.
        stops: Descriptors that end the loop when they become readable.
        recorder: The same that the fabric notes to, if any.
        mtu_bytes: The longest packet a device hands out.
    """

    def __init__(
        self,
        fabric: Fabric,
        tuns: Sequence[int],
        stops: Sequence[int],
        recorder: Recorder | None,
        mtu_bytes: int,
    ) -> None:
        self._fabric = fabric
        self._tuns = tuns
        self._ports = {tun: port for port, tun in enumerate(tuns)}
        self._stops = stops
        self._recorder = recorder
        self._mtu_bytes = mtu_bytes
        self.refused = 0
        """Packets that a receiving device would not take."""

    def run(self) -> None:
        """Forward until a stop becomes readable."""
        _least_timer_slack()
        with select.epoll() as epoll:
            for descriptor in (*self._tuns, *self._stops):
                epoll.register(descriptor, select.EPOLLIN)
            while self._turn(epoll):
                pass

    def _turn(self, epoll: select.epoll) -> bool:
        """Wait once and do what there is to do; False when it is time to stop."""
        self._wait(epoll)
        for descriptor, _ in epoll.poll(0):
            port = self._ports.get(descriptor)
            if port is None:
                return False
            self._read_batch(port, descriptor)
        for delivery in self._fabric.pop_due(self._now()):
            self._deliver(delivery)
        return True

    def _now(self) -> int:
        """Return the time in nanoseconds, and have what is noted from here on bear it."""
        now_ns = time.monotonic_ns()
        if self._recorder is not None:
            self._recorder.now_ns = now_ns
        return now_ns

    def _wait(self, epoll: select.epoll) -> None:
        due_ns = self._fabric.next_due()
        timeout_ns = None if due_ns is None else due_ns - time.monotonic_ns() - _EARLY_NS
        if timeout_ns is not None and timeout_ns <= 0:
            return  # something is due, or so soon that the loop goes round until it is
        if self._recorder is not None:
            self._recorder.flush()
        select.select([epoll], [], [], timeout_ns and timeout_ns / _NS_PER_S)

    def _read_batch(self, port: int, tun: int) -> None:
        with contextlib.suppress(BlockingIOError):  # read empty before the batch was full
            for _ in range(_BATCH_PACKETS):
                packet = os.read(tun, self._mtu_bytes)
                self._fabric.push(port, packet, self._now())

    def _deliver(self, delivery: Delivery) -> None:
        port, serial, packet = delivery
        if self._recorder is not None and self._fabric.ports[port].is_host:
            # what the receiver has sent before this reaches it left before, and is noted so
            self._read_batch(port, self._tuns[port])
        self._now()  # before the write, in which the receiver may already answer
        try:
            os.write(self._tuns[port], packet)
        except OSError:  # the device's queue is full, or somebody took the device down
            self.refused += 1
            return
        if self._recorder is not None and (plug := self._fabric.ports[port]).noted:
            self._recorder.note(plug.owner, Direction.INBOUND, serial, packet)


def _least_timer_slack() -> None:
    with contextlib.suppress(OSError):  # an older kernel: up to 50 µs later, no more
        Path("/proc/self/timerslack_ns").write_text("1")
