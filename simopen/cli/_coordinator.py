"""``simopen coordinator``: the server that introduces hosts to each other."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import anyio
import structlog

import simopen
from simopen._endpoints import Endpoint, literal_address
from simopen.cli import _exit, _systemd
from simopen.cli._connect import fastest_loop
from simopen.cli._display import write_line
from simopen.rendezvous._files import allow_connections, files_for
from simopen.rendezvous._log import log
from simopen.rendezvous._metrics import Metrics
from simopen.rendezvous._server import Coordinator
from simopen.rendezvous._tls_files import CertificateFiles
from simopen.rendezvous.protocol import CoordinatorLimits

LOOPBACK = "127.0.0.1"  # where metrics go that name no host
OFF = "off"
# Objects made and not yet gone before the garbage collector looks (gc.set_threshold). A connection
# that is over leaves it nothing, and Python's 700 are those of twenty that are open: with thousands
# who wait, it would go through all that is kept of them again and again.
GARBAGE = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line says."""

    listen: str
    probe_listen: str | None
    tls_cert: Path | None
    tls_key: Path | None
    proxy_protocol: bool
    metrics: str | None
    limits: Sequence[str]
    json: bool


def serve(settings: Settings) -> int:
    """Run the command; returns its exit code."""
    _configure_log(json=settings.json)
    gc.set_threshold(GARBAGE)
    limits = _limits(settings.limits)
    coordinator = Coordinator(
        settings.listen.split(","),
        probe_listen=_probe_listen(settings.probe_listen),
        certificate=_certificate(settings),
        proxy_protocol=settings.proxy_protocol,
        limits=limits,
        health_listen=_health_listen(settings.metrics),
        metrics=_metrics(settings.metrics),
    )
    try:
        return anyio.run(_serve, coordinator, settings, **fastest_loop())
    except simopen.LocalBindError as error:
        write_line(sys.stderr, f"simopen: {error.strerror}")
    except simopen.UsageError:
        raise
    except Exception:  # noqa: BLE001 - a last line that is read as the others are
        log.exception("coordinator.crashed")
    return _exit.FAILED


async def _serve(coordinator: Coordinator, settings: Settings) -> int:
    with (
        anyio.open_signal_receiver(signal.SIGHUP, signal.SIGTERM, signal.SIGINT) as signals,
        _systemd.Manager() as manager,
    ):
        async with coordinator:
            _announce(coordinator, settings)
            async with anyio.create_task_group() as group:
                group.start_soon(manager.keep_alive)
                manager.notify(_systemd.READY)
                last = await _until_stopped(coordinator, signals)
                manager.notify(_systemd.STOPPING)
                group.start_soon(_second_thoughts, signals, group.cancel_scope)
                await coordinator.drain()
                group.cancel_scope.cancel()
    return _exit.INTERRUPTED if last == signal.SIGINT else _exit.OK


async def _until_stopped(
    coordinator: Coordinator, signals: AsyncIterator[signal.Signals]
) -> signal.Signals:
    """Wait for the signal to stop; SIGHUP is the one to reload."""
    async for number in signals:
        if number != signal.SIGHUP:
            return number
        await coordinator.reload_certificate()
    raise RuntimeError("signals have no end")


async def _second_thoughts(
    signals: AsyncIterator[signal.Signals], stopping: anyio.CancelScope
) -> None:
    """Whoever asks again is not made to wait."""
    async for number in signals:
        if number != signal.SIGHUP:
            stopping.cancel()


# -- what the options mean -------------------------------------------------------------------------


def _limits(words: Sequence[str]) -> CoordinatorLimits:
    defaults = CoordinatorLimits()
    kinds = {field.name: type(getattr(defaults, field.name)) for field in fields(defaults)}
    values: dict[str, Any] = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in kinds:
            raise simopen.UsageError(f"--limit {word}: there are {', '.join(kinds)}")
        try:
            values[name] = kinds[name](text)
        except ValueError:
            raise simopen.UsageError(f"--limit {word}: {text!r} is no number for it") from None
    try:
        limits = CoordinatorLimits(**values)
    except ValueError as error:
        raise simopen.UsageError(f"--limit: {error}") from None
    return _fitting(limits, asked="connections" in values)


def _fitting(limits: CoordinatorLimits, *, asked: bool) -> CoordinatorLimits:
    """Have as many open files as the connections need; or fewer connections, where nobody asked."""
    connections = allow_connections(limits.connections)
    if connections == limits.connections:
        return limits
    needed = files_for(limits.connections)
    if asked or connections < 1:
        raise simopen.UsageError(
            f"{limits.connections:,} connections need {needed:,} open files, more than this "
            f"process may have: raise the hard limit (ulimit -Hn {needed}; for systemd "
            f"LimitNOFILE={needed}), or allow fewer: --limit connections={max(1, connections)}"
        )
    log.warning("files.limited", connections=connections, files_needed=needed)
    return replace(limits, connections=connections)


def _probe_listen(value: str | None) -> Sequence[str] | None:
    if value is None:
        return ()
    return None if value == OFF else value.split(",")


def _certificate(settings: Settings) -> CertificateFiles | None:
    if settings.tls_cert is None:
        if settings.tls_key is not None:
            raise simopen.UsageError("--tls-key without --tls-cert")
        return None
    return CertificateFiles(settings.tls_cert, settings.tls_key)


def _health_listen(value: str | None) -> str | None:
    return f"{LOOPBACK}:{value}" if value is not None and value.isdigit() else value


def _metrics(value: str | None) -> Metrics | None:
    if value is None:
        return None
    try:
        from simopen.rendezvous._prometheus import PrometheusMetrics  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "prometheus_client":
            raise
        text = "--metrics needs prometheus-client; install it with: pip install 'simopen[server]'"
        raise simopen.UsageError(text) from None
    return PrometheusMetrics()


# -- words -----------------------------------------------------------------------------------------


def _announce(coordinator: Coordinator, settings: Settings) -> None:
    """One line: where it listens, and how clients reach it."""
    scheme = "tcp" if settings.tls_cert is None else "tls"
    told: Mapping[str, Sequence[str]] = {
        "listen": [str(each) for each in coordinator.endpoints],
        "probes": [str(each) for each in coordinator.probe_endpoints],
        "metrics": [f"http://{each}/metrics" for each in coordinator.health_endpoints],
        "rendezvous": [*dict.fromkeys(_url(scheme, each) for each in coordinator.endpoints)],
    }
    if settings.json:
        log.info("coordinator.listening", **told)
        return
    words = [f"simopen: coordinator on {' and '.join(told['listen'])}"]
    for name in ("probes", "metrics"):
        words += [f"{name} on {' and '.join(told[name])}"] if told[name] else []
    words.append(f"clients: rendezvous {' or '.join(told['rendezvous'])}")
    write_line(sys.stderr, "; ".join(words))


def _url(scheme: str, endpoint: Endpoint) -> str:
    """What clients call it; a wildcard has no name that we could know."""
    address = literal_address(endpoint.host)
    if address is None or address.is_unspecified:
        return f"{scheme}://THIS-HOST:{endpoint.port}"
    return f"{scheme}://{endpoint}"


def _configure_log(*, json: bool) -> None:
    """Write what is logged to standard error, a line each; tracebacks never show locals."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"),
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    before: list[structlog.typing.Processor] = [
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    after: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        *([structlog.processors.format_exc_info] if json else []),
        renderer,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=after)
    )
    logging.raiseExceptions = False  # a log that nobody can read is no reason to stop
    logging.getLogger().addHandler(handler)  # the loop's warnings are lines like ours
    logging.getLogger("simopen").setLevel(logging.INFO)
