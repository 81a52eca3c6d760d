"""Who is behind which NAT: populations of NAT behaviours, as weights with their sources.

Theory of operation. ``populations.toml`` has *profiles* (the NATs of a time), each a mix of groups
(homes, phones), each with a weight for every value of five axes: mapping, filtering, allocation of
ports, answer to an unsolicited SYN, and whether a crossing SYN passes. Axes are independent within
a group, so the weight of a whole NAT is a product (:func:`nats`).

Of all NATs the lab has to meet only those that a punch can tell apart (:class:`Behaviour`). Both
sides are told the endpoint that a third host has seen, over a connection from the punching port
that stays open. Then:

- where the mapping varies with the destination, that endpoint is never the one the peer meets, and
  whatever else such a NAT does, there is no connection;
- where it is stable, it does not matter how the port was chosen, nor, since the peer comes from the
  very endpoint that was sent to, whether the filter looks at its port;
- a filter that admits everybody has nothing unsolicited: the mapping is there, so it is the host
  that answers.

That is an argument, not a measurement; ``benchmarks.population --drawn`` puts it to the test with
NATs drawn as they are.

Invariants (checked on loading): weights of an axis sum to one, as the shares of groups do; every
source that is named is there; what is derived or assumed says how or why.

Pure, but for reading the file.
"""

from __future__ import annotations

import enum
import itertools
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from simopen import lab

FILE = Path(__file__).with_suffix(".toml")
EXACT = 1e-9  # by how much a sum of weights may miss one

Side: TypeAlias = Literal["anybody", "stable", "varies", "ideal"]
Strategy: TypeAlias = Literal["simopen", "naive", "dcutr", "one-shot"]
STRATEGIES: tuple[Strategy, ...] = ("simopen", "naive", "dcutr", "one-shot")


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class Source(_Record, frozen=True):
    """Where figures come from.

    Attributes:
        text: What it is.
        read: How it was read: in its own text, second hand, or from memory.
    """

    text: str
    read: Literal["text", "second", "memory"]


class Weight(_Record, frozen=True):
    """How often something is met.

    Attributes:
        value: What; empty for the share of a group.
        weight: 0 to 1.
        basis: On what the figure stands.
        source: Name of its source.
        sample: How many it was counted among, where that is known.
        note: How it was derived, or why it was assumed.
    """

    weight: float
    basis: Literal["published", "derived", "assumed"]
    source: str
    value: str = ""
    sample: int | None = None
    note: str = ""


class Group(_Record, frozen=True):
    """NATs of one kind of access, axis by axis; the values are those of :mod:`simopen.lab.nat`.

    Attributes:
        name: What it is called.
        share: Its part of the profile.
        mapping: When two destinations see the same port.
        filtering: Who may send to it.
        ports_stable: How ports are chosen where the mapping is endpoint-independent.
        ports_varying: And where it is not.
        unsolicited: What answers a SYN that nobody asked for.
        crossing: Whether a SYN "passes" that crosses ours, or is "blocked".
    """

    name: str
    share: Weight
    mapping: tuple[Weight, ...]
    filtering: tuple[Weight, ...]
    ports_stable: tuple[Weight, ...]
    ports_varying: tuple[Weight, ...]
    unsolicited: tuple[Weight, ...]
    crossing: tuple[Weight, ...]

    def axes(self) -> dict[str, tuple[Weight, ...]]:
        """The axes by their names."""
        names = [name for name in self.__struct_fields__ if name not in {"name", "share"}]
        return {name: getattr(self, name) for name in names}


class Profile(_Record, frozen=True):
    """The NATs of a time.

    Attributes:
        name: What it is called.
        title: The same in words.
        groups: What it is a mix of.
    """

    name: str
    title: str
    groups: tuple[Group, ...]


class Timing(_Record, frozen=True):
    """How well a strategy has both sides start together.

    Attributes:
        strategy: Which.
        spread: Each side starts up to so many seconds late, evenly.
        source: Name of its source.
        note: Why so much.
    """

    strategy: Strategy
    spread: float
    source: str
    note: str


class Condition(_Record, frozen=True):
    """The path between two hosts.

    Attributes:
        name: What it is called.
        round_trip: Seconds.
        loss: Chance of a packet to be lost on its way, each way.
        note: Why it is among these.
    """

    name: str
    round_trip: float
    loss: float
    note: str

    @property
    def words(self) -> str:
        """Its figures."""
        loss = f"{self.loss:.0%} loss" if self.loss else "no loss"
        return f"{self.round_trip * 1000:g} ms, {loss}"


class Measurement(_Record, frozen=True):
    """A success rate that somebody has published.

    Attributes:
        what: Of what.
        profile: Among whom.
        first: Which of these one side was.
        second: And the other.
        strategy: The strategy here that comes nearest to what was measured.
        rate: 0 to 1.
        low: Lower end of its interval, where there is one.
        high: Upper end.
        source: Name of its source.
        note: What else to know of it.
    """

    what: str
    profile: str
    first: Side
    second: Side
    strategy: Strategy
    rate: float
    source: str
    note: str
    low: float | None = None
    high: float | None = None


class Populations(_Record, frozen=True):
    """The whole file."""

    sources: dict[str, Source]
    timings: tuple[Timing, ...]
    profiles: tuple[Profile, ...]
    conditions: tuple[Condition, ...]
    measurements: tuple[Measurement, ...]

    def profile(self, name: str) -> Profile:
        """The profile of a name."""
        return next(each for each in self.profiles if each.name == name)

    def spread(self, strategy: Strategy) -> float:
        """Seconds by which a strategy's sides may start late."""
        return next(each.spread for each in self.timings if each.strategy == strategy)


def load(path: Path = FILE) -> Populations:
    """Read and check a file of populations.

    Raises:
        ValueError: It is not as described above.
    """
    found = msgspec.toml.decode(path.read_bytes(), type=Populations)
    if problems := list(_problems(found)):
        raise ValueError(f"{path.name}: {'; '.join(problems)}")
    return found


def _problems(found: Populations) -> Iterable[str]:
    for profile in found.profiles:
        yield from _sum_problems(f"shares of {profile.name}", [g.share for g in profile.groups])
        for group in profile.groups:
            where = f"{profile.name}, {group.name}"
            for name, axis in group.axes().items():
                yield from _sum_problems(f"{where}: {name}", axis)
            for weight in (group.share, *itertools.chain(*group.axes().values())):
                if weight.source not in found.sources:
                    yield f"{where}: there is no source {weight.source!r}"
                if weight.basis != "published" and not weight.note:
                    yield f"{where}: {weight.value} is {weight.basis} without a note"
    named = [each.source for each in found.timings] + [each.source for each in found.measurements]
    yield from (f"there is no source {each!r}" for each in named if each not in found.sources)
    names = {profile.name for profile in found.profiles}
    yield from (
        f"{each.what}: there is no profile {each.profile!r}"
        for each in found.measurements
        if each.profile not in names
    )
    if {each.strategy for each in found.timings} != set(STRATEGIES):
        yield "every strategy has one timing"


def _sum_problems(what: str, weights: Sequence[Weight]) -> Iterable[str]:
    total = math.fsum(each.weight for each in weights)
    if abs(total - 1) > EXACT:
        yield f"{what} sum to {total:.6g}"
    if any(not 0 <= each.weight <= 1 for each in weights):
        yield f"{what}: a weight lies between 0 and 1"


# -- NATs, whole -----------------------------------------------------------------------------------


def nats(profile: Profile) -> dict[lab.Nat, float]:
    """Every NAT of a profile with its weight; those that nobody has are left out."""
    found: dict[lab.Nat, float] = defaultdict(float)
    for group in profile.groups:
        for mapping in group.mapping:
            stable = mapping.value == lab.Mapping.ENDPOINT_INDEPENDENT
            ports = group.ports_stable if stable else group.ports_varying
            axes = ((mapping,), group.filtering, ports, group.unsolicited, group.crossing)
            for chosen in itertools.product(*axes):
                weight = math.prod(each.weight for each in chosen) * group.share.weight
                if weight:
                    found[_nat(*(each.value for each in chosen))] += weight
    return dict(found)


def _nat(mapping: str, filtering: str, ports: str, unsolicited: str, crossing: str) -> lab.Nat:
    return lab.Nat(
        mapping=lab.Mapping(mapping),
        filtering=lab.Filtering(filtering),
        ports=lab.PortAllocation(ports),
        unsolicited=lab.Unsolicited(unsolicited),
        crossing_syn={"passes": True, "blocked": False}[crossing],
    )


def drawn(profile: Profile, count: int, seed: str) -> list[lab.Nat]:
    """So many NATs of a profile by chance, as often as they are met."""
    found = nats(profile)
    return random.Random(seed).choices(list(found), weights=list(found.values()), k=count)


# -- what a punch can tell apart -------------------------------------------------------------------


class Behaviour(enum.Enum):
    """What a punch meets, and the NAT that stands for it in the lab."""

    SILENT = "silent"
    RST = "RST"
    ICMP = "ICMP"
    ADMITS = "admits all"
    SILENT_BLOCKS = "silent, blocks"
    RST_BLOCKS = "RST, blocks"
    ICMP_BLOCKS = "ICMP, blocks"
    ADMITS_BLOCKS = "admits all, blocks"
    VARIES = "varies"

    @property
    def answer(self) -> lab.Unsolicited:
        """What answers a SYN that was not asked for."""
        return _ANSWERS.get(self.value.partition(",")[0], lab.Unsolicited.SILENCE)

    @property
    def admits_all(self) -> bool:
        """Whether everybody may send to a port that is in use."""
        return self in (Behaviour.ADMITS, Behaviour.ADMITS_BLOCKS)

    @property
    def crosses(self) -> bool:
        """Whether a SYN passes that crosses ours."""
        return not self.value.endswith("blocks")

    @property
    def nat(self) -> lab.Nat:
        """The NAT that stands for all of this behaviour."""
        if self is Behaviour.VARIES:
            return lab.Nat(
                mapping=lab.Mapping.ADDRESS_AND_PORT_DEPENDENT, ports=lab.PortAllocation.RANDOM
            )
        admits, strict = (
            lab.Filtering.ENDPOINT_INDEPENDENT,
            lab.Filtering.ADDRESS_AND_PORT_DEPENDENT,
        )
        return lab.Nat(
            filtering=admits if self.admits_all else strict,
            unsolicited=self.answer,
            crossing_syn=self.crosses,
        )


_ANSWERS = {"RST": lab.Unsolicited.RST, "ICMP": lab.Unsolicited.ICMP}


def behaviour(nat: lab.Nat) -> Behaviour:
    """What a punch meets of a NAT."""
    if nat.mapping is not lab.Mapping.ENDPOINT_INDEPENDENT:
        return Behaviour.VARIES
    if nat.filtering is lab.Filtering.ENDPOINT_INDEPENDENT:
        return Behaviour.ADMITS if nat.crossing_syn else Behaviour.ADMITS_BLOCKS
    passes, blocks = {
        lab.Unsolicited.SILENCE: (Behaviour.SILENT, Behaviour.SILENT_BLOCKS),
        lab.Unsolicited.RST: (Behaviour.RST, Behaviour.RST_BLOCKS),
        lab.Unsolicited.ICMP: (Behaviour.ICMP, Behaviour.ICMP_BLOCKS),
    }[nat.unsolicited]
    return passes if nat.crossing_syn else blocks


Weights: TypeAlias = Mapping[Behaviour, float]
BehaviourPair: TypeAlias = tuple[Behaviour, Behaviour]
PAIRS: tuple[BehaviourPair, ...] = tuple(itertools.combinations_with_replacement(Behaviour, 2))


def behaviours(profile: Profile, side: Side = "anybody") -> dict[Behaviour, float]:
    """How often a side of a profile behaves how; the weights sum to one."""
    if side == "ideal":
        return {Behaviour.SILENT: 1.0}
    found: dict[Behaviour, float] = defaultdict(float)
    for nat, weight in nats(profile).items():
        varies = behaviour(nat) is Behaviour.VARIES
        if side == "anybody" or varies == (side == "varies"):
            found[behaviour(nat)] += weight
    total = math.fsum(found.values())
    return {each: weight / total for each, weight in found.items()}


def pair_weights(first: Weights, second: Weights) -> dict[BehaviourPair, float]:
    """How often two sides, drawn apart, are which pair; in the order of :data:`PAIRS`."""
    return {
        (a, b): sum(
            first.get(x, 0.0) * second.get(y, 0.0)
            for x, y in {(a, b), (b, a)}  # one if alike
        )
        for a, b in PAIRS
    }
