"""What the answers of the remote mean. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simopen._report import count, format_seconds

from . import _icmp
from ._facts import Answer, Knock, Machine, Remote
from ._findings import Row, Severity, Subject, Table, Words
from ._machine_looks import schedule_of


@dataclass(frozen=True, slots=True)
class RemoteFromMachine:
    """A remote, and the host that has knocked.

    Attributes:
        remote: The remote.
        machine: The host.
    """

    remote: Remote
    machine: Machine


# Answers that say no, by an end or a router that is there.
_REFUSALS = (Answer.RESET, Answer.ICMP, Answer.ERROR)


def _only(*answers: Answer) -> Callable[[Remote], bool]:
    return lambda remote: (
        bool(remote.knocks) and all(knock.answer in answers for knock in remote.knocks)
    )


def _first(remote: Remote, *answers: Answer) -> Knock | None:
    return next((knock for knock in remote.knocks if knock.answer in answers), None)


def _words(remote: Remote, knock: Knock | None) -> Words:
    soonest = min((each.after for each in remote.knocks), default=0.0)
    icmp = knock.icmp if knock else None
    return {
        "remote": remote.remote,
        "times": count(len(remote.knocks), "time"),
        "after": format_seconds(soonest),
        "reason": knock.reason if knock else "",
        "icmp": _icmp.describe(icmp) if icmp else "",
        "sender": (icmp.sender if icmp else "") or "somebody on the way",
    }


def _unresolved(facts: RemoteFromMachine) -> Words | None:
    remote = facts.remote
    if not remote.unresolved:
        return None
    return {"remote": remote.remote, "reason": remote.unresolved}


def _unsent(facts: RemoteFromMachine) -> Words | None:
    knock = _first(facts.remote, Answer.UNSENT)
    return _words(facts.remote, knock) if knock else None


def _refuses(facts: RemoteFromMachine) -> Words | None:
    remote = facts.remote
    if not _only(Answer.RESET)(remote):
        return None
    return _words(remote, remote.knocks[0])


def _silent(facts: RemoteFromMachine) -> Words | None:
    remote = facts.remote
    if not _only(Answer.SILENT)(remote):
        return None
    waited = format_seconds(sum(knock.after for knock in remote.knocks))
    return {**_words(remote, None), "waited": waited}


def _icmp_error(*, filtered: bool) -> Callable[[RemoteFromMachine], Words | None]:
    def look(facts: RemoteFromMachine) -> Words | None:
        remote = facts.remote
        knock = _first(remote, Answer.ICMP)
        if knock is None or knock.icmp is None or not _only(Answer.ICMP)(remote):
            return None
        return _words(remote, knock) if _icmp.is_from_a_filter(knock.icmp) is filtered else None

    return look


def _error(facts: RemoteFromMachine) -> Words | None:
    remote = facts.remote
    if not _only(Answer.ERROR)(remote):
        return None
    return _words(remote, remote.knocks[0])


def _mixed(facts: RemoteFromMachine) -> Words | None:
    answers = [knock.answer for knock in facts.remote.knocks]
    told = {Answer.OPEN, Answer.UNSENT} & set(answers)
    if told or len(set(answers)) < 2:  # noqa: PLR2004 - answers that differ
        return None
    return {**_words(facts.remote, None), "answers": ", ".join(each.value for each in answers)}


def _listens(facts: RemoteFromMachine) -> Words | None:
    remote = facts.remote
    knock = _first(remote, Answer.OPEN)
    if knock is None or _is_peer(remote):
        return None
    return {**_words(remote, knock), "after": format_seconds(knock.after)}


def _peer(facts: RemoteFromMachine) -> Words | None:
    remote = facts.remote
    return _words(remote, _first(remote, Answer.OPEN)) if _is_peer(remote) else None


def _is_peer(remote: Remote) -> bool:
    """Whether it opened for the port that a peer expects, and for no other."""
    opened = _first(remote, Answer.OPEN) is not None
    return opened and remote.stranger is not None and remote.stranger.answer is not Answer.OPEN


def _lossy(facts: RemoteFromMachine) -> Words | None:
    schedule = schedule_of(facts.machine)
    if schedule is None:
        return None
    answered = [each for each in facts.remote.knocks if each.answer in (*_REFUSALS, Answer.OPEN)]
    slowest = max((each.after for each in answered), default=0.0)
    if not (lost := schedule.lost(slowest)):
        return None
    told = count(lost, "SYN")
    return {"took": format_seconds(slowest), "lost": told, "at": schedule.retransmissions[lost - 1]}


REMOTE = Table(
    Subject.REMOTE,
    (
        Row(
            "remote-unresolved",
            Severity.HINDERS,
            _unresolved,
            "{remote.host} has no usable address: {reason}",
            "Nobody can be knocked at",
            "Check the spelling, or give the address",
        ),
        Row(
            "remote-unsent",
            Severity.HINDERS,
            _unsent,
            "no SYN to {remote} could leave this host: {reason}",
            "The system has refused it before anything was sent",
            "Check route and firewall of this host: ip route get {remote.host}",
        ),
        Row(
            "remote-refuses",
            Severity.NOTE,
            _refuses,
            "{remote} refuses (RST), each of {times}, after {after} at the soonest",
            "The host, or a NAT in front of it, is there, and nobody connects from that port to "
            "us or listens on it now. That does not hinder: simopen sends a fresh SYN at once "
            "after each refusal, until the peer has started",
        ),
        Row(
            "remote-silent",
            Severity.NOTE,
            _silent,
            "{remote} is silent: no answer in {waited}",
            "The host is off, the address is wrong, or a NAT or firewall drops what it has not "
            "asked for. The last is the best of all for connecting: whoever starts first is not "
            "refused",
        ),
        Row(
            "remote-filtered",
            Severity.NOTE,
            _icmp_error(filtered=True),
            "{remote} is refused by a filter ({icmp}) after {after}; {sender} says so",
            "What nobody there has asked for is rejected, not dropped. That does not hinder: "
            "simopen sends a fresh SYN at once, and the filter lets it in when the peer's own "
            "has left",
        ),
        Row(
            "remote-unreachable",
            Severity.HINDERS,
            _icmp_error(filtered=False),
            "{remote} cannot be reached ({icmp}); {sender} says so, after {after}",
            "A router knows no way to it, or the host is off",
            "Check the address, and that the host is up",
        ),
        Row(
            "remote-error",
            Severity.HINDERS,
            _error,
            "{remote} cannot be reached: {reason}, after {after}",
            "Somebody on the way says so; this system does not tell who",
            "Check the address, and that the host is up",
        ),
        Row(
            "remote-mixed",
            Severity.NOTE,
            _mixed,
            "{remote} answers differently from time to time: {answers}",
            "Packets are lost, answers are rationed (as Linux does with ICMP errors), or the peer "
            "or a filter comes and goes",
        ),
        Row(
            "remote-listens",
            Severity.HINDERS,
            _listens,
            "somebody listens on {remote} (open after {after}; closed at once)",
            "A listener takes our SYN before any crossing can come about, and the peer cannot "
            "bind a port that is listened on. Where every port of every host seems to be open, it "
            "is a proxy on the way, which no crossing passes either",
            "If that is the service you want, connect to it in the ordinary way; else let the peer "
            "use another port",
        ),
        Row(
            "remote-peer",
            Severity.NOTE,
            _peer,
            "a peer is connecting from {remote} to our port: it opened for us, and for no other",
            "All is well. The doctor has closed that connection at once, so the peer has seen one "
            "that was reset",
            "Start the peer once more, and connect",
        ),
        Row(
            "remote-lossy",
            Severity.NOTE,
            _lossy,
            "an answer took {took}: {lost} or their answers were lost",
            "The kernel sends a SYN again after {at:g} s, and only that one was answered; or the "
            "path is slower than a second",
            "Look at the path (ping); a punch is helped by several pairs of ports at once",
        ),
    ),
)
"""All that can be found about the remote."""
