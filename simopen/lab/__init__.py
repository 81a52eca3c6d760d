"""A small internet on one machine: real kernel TCP stacks in namespaces, joined by a recorded wire.

    from simopen import lab

    async with lab.two_hosts(delay=0.010, capture="wire.pcapng") as net:
        await net.b.popen(["python3", "server.py"])
        await net.a.run(["python3", "client.py", net.b.ipv4])

Linux only; needs root or open user namespaces, `/dev/net/tun`, nsenter, and `simopen[lab]`.
Nothing of the machine's own network is touched and no packet leaves it. Under asyncio and trio.

How it is cut: `_network` is this front; `_supervision` starts the one process that holds a lab,
`_supervisor`, which builds hosts (`_namespace`), carries packets (`_forwarder`) and notes them
(`_recorder`). Pure, and useful by themselves: `wire` (delay), `packets` (raw IP read), `pcapng`
(captures), `ladder` (a TCP conversation as steps) and `picture` (the steps drawn as text).
"""

from simopen.lab._available import why_unavailable
from simopen.lab._errors import LabBroken, LabUnavailable
from simopen.lab._network import Host, Network, TwoHosts, two_hosts
from simopen.lab._protocol import Traffic
from simopen.lab._sockets import Listener

__all__ = [
    "Host",
    "LabBroken",
    "LabUnavailable",
    "Listener",
    "Network",
    "Traffic",
    "TwoHosts",
    "two_hosts",
    "why_unavailable",
]
