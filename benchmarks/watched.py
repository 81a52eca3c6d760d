"""The coordinator of a soak: one that tells how many tasks its loop has, besides its own metrics.

To count them takes milliseconds where there are thousands, which a coordinator at work has better
uses for. ``python -m benchmarks.watched PORT PROBE_PORT HEALTH_PORT [CERTIFICATE KEY]``
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio

import simopen
from benchmarks.common import LOOPS
from simopen.cli._coordinator import GARBAGE
from simopen.rendezvous._prometheus import PREFIX, PrometheusMetrics

TASKS = f"{PREFIX}_tasks"

# Times that a soak can wait for; nothing by address, since all come from one.
LIMITS = simopen.CoordinatorLimits(
    connections_per_address=4000,
    connection_rate=1e6,
    connection_burst=1_000_000,
    handshake=2.0,
    idle=6.0,
    grace=4.0,
)


class Watched(PrometheusMetrics):
    """With one more gauge."""

    def exposition(self) -> tuple[str, bytes]:
        """The registry and the number of tasks."""
        kind, body = super().exposition()
        return kind, body + f"{TASKS} {len(anyio.get_running_tasks())}\n".encode()


def coordinator(
    ports: Sequence[int],
    files: Sequence[Path] = (),
    limits: simopen.CoordinatorLimits = LIMITS,
) -> simopen.Coordinator:
    """On loopback, of both families.

    Args:
        ports: For members, for probes, for metrics.
        files: Certificate and key; empty for plain TCP.
        limits: What it bears.
    """
    port, probe_port, health_port = ports
    return simopen.Coordinator(
        (("127.0.0.1", port), ("::1", port)),
        probe_listen=(("127.0.0.1", probe_port), ("::1", probe_port)),
        certificate=simopen.CertificateFiles(*files) if files else None,
        limits=limits,
        health_listen=("127.0.0.1", health_port),
        metrics=Watched(),
    )


async def serve(ports: Sequence[int], files: Sequence[Path]) -> None:
    """Until the process is ended."""
    async with coordinator(ports, files):
        await anyio.sleep_forever()


def main() -> None:
    """Read the arguments and serve."""
    gc.set_threshold(GARBAGE)  # as the command does
    ports, files = sys.argv[1:4], sys.argv[4:]
    anyio.run(serve, [*map(int, ports)], [*map(Path, files)], **LOOPS["uvloop"])


if __name__ == "__main__":
    main()
