"""What stands in the way of a connection, asked of the machine, its NAT and the other end.

    from simopen import doctor

    examination = await doctor.examine("203.0.113.2:40001", local="0.0.0.0:40000")

How it is cut. Readers look (:mod:`._machine`, :mod:`._firewall`, :mod:`._port`), visit
(:mod:`._coordinator`) and knock (:mod:`._probe`), and give back facts (:mod:`._facts`). What a fact
means for connecting is said by tables of rows (:mod:`._findings` and the modules named after it),
which are pure: facts in, findings out. :mod:`._examine` puts both together.

Invariants: nothing of the machine is changed; nothing is sent to anybody but the remote and the
coordinators that were named; no socket is left behind.
"""

from ._examine import Examination, examine, judge
from ._facts import (
    Answer,
    Chain,
    Firewall,
    IcmpError,
    Knock,
    LocalPort,
    Machine,
    Mapping,
    PortRange,
    Remote,
    Trouble,
    Visit,
)
from ._findings import Finding, Severity, Subject
from ._syn_schedule import SynSchedule, syn_schedule

__all__ = [
    "Answer",
    "Chain",
    "Examination",
    "Finding",
    "Firewall",
    "IcmpError",
    "Knock",
    "LocalPort",
    "Machine",
    "Mapping",
    "PortRange",
    "Remote",
    "Severity",
    "Subject",
    "SynSchedule",
    "Trouble",
    "Visit",
    "examine",
    "judge",
    "syn_schedule",
]
