"""Writes what passes the wire to a capture file, in batches.

The capture's clock is the wire's monotonic one moved to the epoch once, at the start, so that
a step of the machine's clock does not bend a measurement.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from simopen.lab import pcapng

if TYPE_CHECKING:
    from collections.abc import Sequence

_BATCH_BLOCKS = 512  # about 100 KB


class Recorder:
    """A capture file being written.

    Args:
        path: The file, overwritten.
        hosts: Names of the hosts, in the order of the wire's ports.
    """

    def __init__(self, path: str, hosts: Sequence[str]) -> None:
        self._file = Path(path).open("wb", buffering=0)  # noqa: SIM115  # closed by close()
        self._blocks = [pcapng.header(hosts)]
        self._epoch_ns = time.time_ns() - time.monotonic_ns()

    def record(
        self, port: int, direction: pcapng.Direction, now_ns: int, serial: int, packet: bytes
    ) -> None:
        """Note that a packet passes a host's device at the wire's time `now_ns`."""
        block = pcapng.packet_block(port, direction, now_ns + self._epoch_ns, serial, packet)
        self._blocks.append(block)
        if len(self._blocks) >= _BATCH_BLOCKS:
            self.flush()

    def flush(self) -> None:
        """Make everything noted so far readable by others."""
        if self._blocks:
            self._file.write(b"".join(self._blocks))
            self._blocks.clear()

    def close(self) -> None:
        """Flush and close the file."""
        self.flush()
        self._file.close()
