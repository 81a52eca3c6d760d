"""Writes the parts of the documentation that the code already says.

    python -m docs.tables

A part stands between `<!-- begin NAME -->` and `<!-- end NAME -->` and is replaced; a test holds
that there is nothing to replace.
"""

import ast
import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from docs import benchmark_tables
from simopen import CoordinatorLimits, PunchOptions, doctor, lab
from simopen._proving import MOST_LOSSES, PROOF_TIMEOUT
from simopen._round import ROUND_GROWTH
from simopen.doctor._coordinator_findings import COORDINATOR, NAT
from simopen.doctor._machine_findings import MACHINE
from simopen.doctor._port_findings import PORT
from simopen.doctor._remote_findings import REMOTE
from simopen.punch._budget import FREE_SHARE
from simopen.rendezvous._candidates import MOST_OFFERED
from simopen.rendezvous._prometheus import PREFIX, PrometheusMetrics
from simopen.rendezvous.protocol import Limit, firing_delay
from simopen.rendezvous.protocol._limits import LARGEST_FRAME, LONGEST_DELAY, MEMBERS_PER_ROOM
from simopen.security._tls import BEFORE_PROOF

DOCS = Path(__file__).parent
ROOT = DOCS.parent
LABELLED = re.compile(rf"^({PREFIX}\w+?)(?:_count)?{{(\w+)=", re.MULTILINE)
FIXED = {
    Limit.FRAME: (
        LARGEST_FRAME,
        "Bytes in a message, checked before any of it is kept.",
        "An introduction, the longest message, has 3,100.",
    ),
    Limit.MEMBERS_PER_ROOM: (
        MEMBERS_PER_ROOM,
        "Members of a room that have a place; a third is told so.",
        "A secret is for two.",
    ),
}
YES_OR_NO = {True: "yes", False: "no"}
AXES = ("mapping", "filtering", "ports", "unsolicited")
ENUMS = (
    *(lab.Mapping, lab.Filtering, lab.PortAllocation, lab.Unsolicited, lab.Hairpinning),
    *(lab.Masquerade, lab.KernelAnswer),
)


def table(head: list[str], rows: Iterator[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def told(value: object) -> str:
    """A value of a declaration, as a TOML file would have it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return YES_OR_NO[value]
    if value == ():
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def default(field: msgspec.structs.FieldInfo) -> str:
    """A field's default."""
    if field.default is msgspec.NODEFAULT:
        return "must be given"
    return (
        "nothing special" if isinstance(field.default, lab.Link) else told(field.default) or "none"
    )


def meanings(kind: type) -> dict[str, str]:
    """What a docstring says of each attribute."""
    text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    found = re.findall(r"^ {4}(\w+): ((?:.|\n {8})*)", text, re.MULTILINE)
    return {name: " ".join(words.split()).replace("``", "`") for name, words in found}


def fields(kind: type[msgspec.Struct]) -> str:
    """The fields of a declaration."""
    says = meanings(kind)
    rows = (
        [f"`{field.name}`", default(field), says[field.name]]
        for field in msgspec.structs.fields(kind)
    )
    return table(["field", "default", "meaning"], rows)


def sentence(words: str) -> str:
    """Words with a capital."""
    return words[:1].upper() + words[1:]


def limits() -> str:
    """What a coordinator bears, and why just that."""
    says = meanings(CoordinatorLimits)

    def rows() -> Iterator[list[str]]:
        for field in dataclasses.fields(CoordinatorLimits):
            meaning, _, reason = says[field.name].partition(" Default ")
            why = reason.partition(": ")[2]
            yield [
                f"`{field.name}`",
                f"{field.default:,g}",
                meaning,
                sentence(why),
                hit(field.name),
            ]
        for limit, (value, meaning, why) in FIXED.items():
            yield [f"`{limit}`", f"{value:,}, fixed", meaning, why, hit(limit)]

    return table(["limit", "default", "what it is", "why so many", "metric"], rows())


def hit(name: str) -> str:
    """The label under which a limit is counted; a burst is hit as its rate."""
    return f'`limit="{Limit(name.replace("_burst", "_rate"))}"`'


def metrics() -> str:
    """What a coordinator counts."""
    shown = PrometheusMetrics().exposition()[1].decode()
    kinds = dict(re.findall(rf"^# TYPE ({PREFIX}\w+) (\w+)", shown, re.MULTILINE))
    told = re.findall(rf"^# HELP ({PREFIX}\w+) (.*)", shown, re.MULTILINE)
    labels = {name: f"`{label}`" for name, label in LABELLED.findall(shown) if label != "le"}
    rows = (
        [f"`{name}`", kinds[name], labels.get(name, ""), f"{text}."]
        for name, text in told
        if not name.endswith("_created")
    )
    return table(["metric", "kind", "label", "what it counts"], rows)


def strangers() -> str:
    """What a call through a coordinator sends at most, and reads from whom it does not know."""
    options = PunchOptions()
    longest = sum(options.round_time * ROUND_GROWTH**number for number in range(options.rounds))
    rows = [
        [f"{options.rounds}", "introductions (rounds) that a call acts on"],
        ["2", "endpoints in a round in the coordinator's word, one of each family"],
        [f"{MOST_OFFERED}", "endpoints in a round from the sealed offer"],
        [f"{options.round_syns:,}", "SYNs in a round, in equal shares to all its endpoints"],
        [f"{options.rounds * options.round_syns:,}", "SYNs in a call"],
        [f"{FREE_SHARE:.0%}", "of these SYNs, as fast as they are refused"],
        [f"{options.syn_rate:g}/s", "of the others"],
        [f"{longest:.0f} s", "in which SYNs leave, all rounds of a call together"],
        [f"{LONGEST_DELAY:g} s", "that a start can be put off"],
        [f"{PROOF_TIMEOUT:g} s", "for TLS on a connection, and for all proofs after the last SYN"],
        [f"{BEFORE_PROOF:,} bytes", "read from a connection before its TLS is done"],
        [f"{MOST_LOSSES}", "connections to one endpoint that break before it is left alone"],
        [f"{LARGEST_FRAME:,} bytes", "in a message of the coordinator"],
    ]
    return table(["most", "of what"], iter(rows))


def delays() -> str:
    """When both fire and are connected, for some round trips in milliseconds."""

    def rows() -> Iterator[list[str]]:
        for own, peer, path in ((30, 30, 40), (20, 120, 100), (120, 20, 100)):
            waits = (
                1000 * firing_delay(own / 1000, peer / 1000),
                1000 * firing_delay(peer / 1000, own / 1000),
            )
            least = max(peer, (own + peer) / 2) + path
            yield [f"{each:g}" for each in (own, peer, path, *waits, least, least + 2 * path)]

    head = ["r of A", "r of B", "A to B", "A waits", "B waits", "T*", "proven on both sides"]
    return table(head, rows())


def values() -> str:
    """The values of each axis."""
    rows = ([kind.__name__, ", ".join(f"`{value}`" for value in kind)] for kind in ENUMS)
    return table(["axis", "values"], rows)


def differences(gateway: Any) -> str:  # noqa: ANN401  # any of the declarations
    """What of a gateway is neither default nor a column of its own."""
    own = msgspec.structs.asdict(gateway)
    usual = msgspec.structs.asdict(type(gateway)())
    found = [name for name in own if name not in AXES and own[name] != usual[name]]
    return ", ".join(f"{name} {told(own[name])}" for name in found)


def presets() -> str:
    """Every preset."""

    def rows() -> Iterator[list[str]]:
        for name, preset in lab.PRESETS.items():
            gateway = preset.gateway
            axes = [told(getattr(gateway, axis, "")) for axis in AXES] if gateway else [""] * 4
            more = differences(gateway) if gateway else ""
            kind = "" if gateway is None else str(msgspec.to_builtins(gateway)["kind"])
            yield [f"`{name}`", kind, *axes, more, preset.resembles]

    return table(["preset", "kind", *AXES, "otherwise", "what behaves so"], rows())


def topologies() -> str:
    """Every topology."""
    rows = ([f"`{name}`", topology.summary] for name, topology in lab.built_in().items())
    return table(["topology", "what it is"], rows)


def findings() -> str:
    """Everything that the doctor can find."""
    return "\n".join(
        f"### {sentence(each.subject.value)}\n\n"
        + table(
            ["finding", "", "what was found", "what it means for connecting"],
            (
                [f"`{row.code}`", row.severity.value, filled(row.title), filled(row.meaning)]
                for row in each.rows
            ),
        )
        for each in (MACHINE, PORT, COORDINATOR, NAT, REMOTE)
    )


def filled(template: str) -> str:
    """A template with dots for what differs."""
    return re.sub(r"{[^}]*}", "…", template)


def facts() -> str:
    """What the doctor's JSON has of each kind of fact."""
    kinds = (
        *(doctor.Machine, doctor.PortRange, doctor.Firewall, doctor.Chain, doctor.LocalPort),
        *(doctor.Visit, doctor.Mapping, doctor.Remote, doctor.Knock, doctor.IcmpError),
        doctor.Finding,
    )

    def rows(kind: type) -> Iterator[list[str]]:
        says = meanings(kind)
        for field in dataclasses.fields(kind):
            yield [f"`{field.name}`", sentence(says[field.name].rstrip("."))]

    return "\n".join(
        f"### {kind.__name__}\n\n{table(['field', 'what it is'], rows(kind))}" for kind in kinds
    )


def example(name: str) -> str:
    """A program of `examples/`."""
    return f"```python\n{(ROOT / 'examples' / name).read_text()}```\n"


def examples() -> str:
    """What each program of `examples/` says of itself."""

    def parts() -> Iterator[str]:
        for path in sorted((ROOT / "examples").glob("*.py")):
            says = ast.get_docstring(ast.parse(path.read_text()))
            where = f"[examples/{path.name}](../examples/{path.name})"
            yield f"## {path.name}\n\n{says}\n\nThe program: {where}\n"

    return "\n" + "\n".join(parts()) + "\n"


PARTS: dict[str, Callable[[], str]] = {
    "example echo.py": lambda: example("echo.py"),
    "example self_connection.py": lambda: example("self_connection.py"),
    "examples": examples,
    "fields of Link": lambda: fields(lab.Link),
    "fields of Nat": lambda: fields(lab.Nat),
    "fields of Site": lambda: fields(lab.Site),
    "fields of HostSpec": lambda: fields(lab.HostSpec),
    "fields of KernelNat": lambda: fields(lab.KernelNat),
    "limits of a coordinator": limits,
    "metrics of a coordinator": metrics,
    "numbers of a stranger": strangers,
    "delays": delays,
    "values": values,
    "presets": presets,
    "topologies": topologies,
    "findings of the doctor": findings,
    "facts of the doctor": facts,
    "example ask_the_doctor.py": lambda: example("ask_the_doctor.py"),
    **benchmark_tables.PARTS,
}


def renewed(text: str) -> str:
    """A page with its parts as they should be."""
    for name, make in PARTS.items():
        part = re.compile(rf"(<!-- begin {re.escape(name)} -->\n).*?(<!-- end )", re.DOTALL)
        if part.search(text):
            made = make().replace("\\", r"\\")  # it stands in a template
            text = part.sub(rf"\g<1>{made}\g<2>", text)
    return text


def main() -> None:
    """Renew every page, and the README."""
    for page in [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]:
        text = page.read_text()
        if (new := renewed(text)) != text:
            page.write_text(new)
            print(f"renewed: {page.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
