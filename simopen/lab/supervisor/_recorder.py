"""Writes what passes the wire to capture files, in batches.

A capture's clock is the wire's monotonic one moved to the epoch once, at the start, so that a step
of the machine's clock does not bend a measurement. Packets are noted at the moment they are
handled, not the one they were due, so that a capture tells what happened.
"""

from __future__ import annotations

import time
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from simopen.capture import pcapng

_BATCH_BLOCKS = 512  # about 100 KB


class Recorder:
    """The capture files of one lab.

    Args:
        captures: By path the names of the hosts and sites whose packets it holds; each file is
            overwritten.
        gateways: Which of the names are sites.
    """

    def __init__(
        self, captures: Mapping[str, Sequence[str]], gateways: Container[str] = ()
    ) -> None:
        self.now_ns = 0
        """The moment of what is noted next, on the wire's clock; for the executor to set."""
        self._epoch_ns = time.time_ns() - time.monotonic_ns()
        self._files = [
            _File(path, [pcapng.Interface(name, gateway=name in gateways) for name in names])
            for path, names in captures.items()
        ]
        self._points: dict[str, list[tuple[_File, int]]] = {}
        for file, names in zip(self._files, captures.values(), strict=True):
            for number, name in enumerate(names):
                self._points.setdefault(name, []).append((file, number))

    def note(self, name: str, direction: pcapng.Direction, serial: int, packet: bytes) -> None:
        """Note that a packet passes a host's device, or the outside of a site's gateway."""
        for file, interface in self._points.get(name, ()):
            file.add(
                pcapng.packet_block(
                    interface, direction, self.now_ns + self._epoch_ns, serial, packet
                )
            )

    def flush(self) -> None:
        """Make everything noted so far readable by others."""
        for file in self._files:
            file.flush()

    def close(self) -> None:
        """Flush and close the files."""
        for file in self._files:
            file.close()


class _File:
    def __init__(self, path: str, interfaces: Sequence[pcapng.Interface]) -> None:
        self._file = Path(path).open("wb", buffering=0)  # noqa: SIM115  # closed by close()
        self._blocks = [pcapng.header(interfaces)]

    def add(self, block: bytes) -> None:
        self._blocks.append(block)
        if len(self._blocks) >= _BATCH_BLOCKS:
            self.flush()

    def flush(self) -> None:
        if self._blocks:
            self._file.write(b"".join(self._blocks))
            self._blocks.clear()

    def close(self) -> None:
        self.flush()
        self._file.close()
