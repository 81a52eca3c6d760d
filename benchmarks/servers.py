"""Servers that are measured: started as processes of their own, watched from outside.

CPU time is the process's own clock, read from here: exact to the nanosecond, and blind to what
else the machine does. A server that is *held* (SIGSTOP) is given its work while it stands still,
so that it then runs at full speed, whatever its clients can do.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

HOST = "127.0.0.1"
START_TIMEOUT = 20.0  # seconds
STOP_TIMEOUT = 20.0  # seconds
QUIET = 0.03  # seconds asleep after which a server has no work left
LOOK = 0.005  # seconds between two looks at it
SLEEPS = "S"  # a state (proc_pid_stat(5)): waits for something to happen


class Server:
    """A process that listens on a port of loopback.

    Attributes:
        port: Where.
        pid: Its number.
    """

    def __init__(self, command: Sequence[str], port: int) -> None:
        self.port = port
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self.pid = self._process.pid
        self._clock = (~self.pid << 3) | 2  # clock_getcpuclockid(3): all its threads

    @property
    def cpu(self) -> float:
        """Seconds of CPU time so far, user and system."""
        return time.clock_gettime(self._clock)

    @property
    def rss(self) -> int:
        """Bytes of memory that are resident."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * next(
            int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")
        )

    @property
    def descriptors(self) -> int:
        """Open files."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def wait_until_up(self) -> None:
        """Return when it listens.

        Raises:
            RuntimeError: It does not.
        """
        give_up_at = time.monotonic() + START_TIMEOUT
        while time.monotonic() < give_up_at and self._process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection((HOST, self.port), timeout=1).close()
                return
            time.sleep(LOOK)
        raise RuntimeError(f"nothing listens on port {self.port}")

    def quiet_cpu(self) -> float:
        """The CPU time once it has no work left.

        CPU time that stands still is not enough: so it does while the server waits for its CPU.
        """
        cpu, since = self.cpu, time.monotonic()
        while time.monotonic() < since + QUIET:
            time.sleep(LOOK)
            if (now := self.cpu) != cpu or not self._is_asleep:
                cpu, since = now, time.monotonic()
        return cpu

    @property
    def _is_asleep(self) -> bool:
        """Whether its first thread, which has the loop, neither runs nor would like to."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == SLEEPS

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Stand still within the block."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def running(command: Sequence[str], port: int) -> Iterator[Server]:
    """A server, up within the block and gone after it."""
    server = Server(command, port)
    try:
        server.wait_until_up()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A port of loopback that nobody has now, from below those the kernel gives to clients."""
    for port in range(20_000, 30_000):
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((HOST, port))
            return port
    raise OSError("no port is free")


def metrics(port: int) -> dict[str, float]:
    """What a coordinator's ``/metrics`` says; of a metric with labels each line by itself."""
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=10) as response:
        return parse_metrics(response.read().decode())


def parse_metrics(text: str) -> dict[str, float]:
    """Prometheus' text format: samples by name and labels."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    samples = (line.rpartition(" ") for line in lines)
    return {name: float(value) for name, _, value in samples}


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for loopback, of the kind authorities give, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "benchmark")])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .sign(key, SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths
