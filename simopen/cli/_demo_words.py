"""What ``simopen demo`` says around its picture, none of it wider than that. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from simopen import lab
from simopen._report import count, format_seconds
from simopen.capture import ladder
from simopen.cli._demo_times import Times, bound

LEAST_WAIT = 0.001  # seconds; a shorter wait is not told

Events = Mapping[str, Mapping[str, Any]]


def setting(net: lab.Network, delays: Mapping[str, float]) -> str:
    """Who is where, in lines."""
    lines = ["Two hosts behind home routers, and a coordinator, all in network namespaces:"]
    for name, host in net.hosts.items():
        seen = "" if host.public_ipv4 == host.ipv4 else f", seen as {host.public_ipv4}"
        lines.append(f"  {name} {host.ipv4}{seen}, {_ms(delays[name])} from the internet")
    lines.append("a and b know the coordinator and an invite, and nothing of each other.\n")
    return "\n".join(lines)


def timeline(times: Times, told: Mapping[str, Mapping[str, Any]]) -> str:
    """How they came to fire, on the picture's clock.

    Args:
        times: What happened when.
        told: For each host its ``rendezvous.introduced``.
    """
    last = times.asked_last
    lines = []
    for name, at in times.asked.items():
        words = "as well" if name == last else "to be introduced, and waits"
        lines.append((at, f"{name} asks the coordinator {words}"))
    for name, at in times.introduced.items():
        delay = told[name].get("delay", 0.0)
        wait = f", and told to wait {_ms(delay)}: it is nearer" if delay > LEAST_WAIT else ""
        lines.append((at, f"{name} is introduced{wait}"))
    lines += [(at, f"{name} fires") for name, at in times.fired.items()]
    moments = [f"{at * 1000:10.2f}  {words}" for at, words in sorted(lines)]
    return "\n".join(["Milliseconds from when both have asked:", *moments, ""])


def against_the_bound(times: Times, delays: Mapping[str, float]) -> str:
    """How long it took, and how long it must have."""
    asker = times.asked_last
    (other,) = (name for name in times.asked if name != asker)
    (way,) = (delay for name, delay in delays.items() if name not in times.asked)
    ra, rb = (2 * (delays[name] + way) for name in (asker, other))
    between = 2 * (delays[asker] + delays[other])
    least, took = bound(ra, rb, between), max(times.connected.values())
    return (
        f"Both connected {_ms(took)} after {asker} asked, {took / least:.2f} times the bound\n"
        f"  T* = max(rA, (rA + rB)/2) + r = {_ms(least)}\n"
        f"  with round trips rA = {_ms(ra)} from {asker} to the coordinator, rB = {_ms(rb)} from "
        f"{other},\n  r = {_ms(between)} between them"
    )


def crossings(times: Times) -> str:
    """What is special in the picture, and what is not in it."""
    text = f"SYNs that crossed: {count(len(ladder.crossings(times.steps)), 'pair')}"
    if not times.elsewhere:
        return text
    syns = count(times.elsewhere, "SYN")
    return f"{text}\nNot in the picture: {syns} to private addresses, in case both were in one home"


def report(events: Events) -> str:
    """One host's report."""
    if (connected := events.get("connected")) is None:
        failed = events.get("rendezvous.failed")
        return f"not connected: {_why(failed['diagnosis']) if failed else 'no report'}"
    told = connected["report"]
    proof = "TLS 1.3, both proven" if told["encrypted"] else "NOT ENCRYPTED"
    return (
        f"introduced after {format_seconds(told['meeting']['waited'])}, connected and proven after "
        f"{format_seconds(told['elapsed'])};\n    {told['path']}, "
        f"{count(told['attempts'], 'SYN')}, {told['refusals']:,} refused, {proof}"
    )


def _why(diagnosis: Mapping[str, str]) -> str:
    return f"{diagnosis['tried']}: {diagnosis['came_back']}; {diagnosis['explanation']}"


def is_proven(events: Events) -> bool:
    """Whether a host has been handed an encrypted stream."""
    return "connected" in events and events["connected"]["report"]["encrypted"] is True


def file_line(sent: bytes, got: bytes) -> tuple[str, bool]:
    """What became of a file, and whether it is the same."""
    before, after = (hashlib.sha256(data).hexdigest() for data in (sent, got))
    verdict = "same" if before == after else f"DIFFERENT: {after[:16]}..."
    return f"{len(sent):,} bytes, sha256 {before[:16]}... {verdict}", before == after


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
