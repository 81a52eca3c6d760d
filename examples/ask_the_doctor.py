"""Ask what stands in the way of a connection, and why.

    python ask_the_doctor.py 203.0.113.2:40001 0.0.0.0:20000

The first is the peer, the second the endpoint to connect from. Without them the program asks about
a port of this host, first while somebody listens on it, then while nobody does, and prints:

    Somebody listens there:
      fine     nobody is on port 20000
      fine     port 20000 is outside ip_local_port_range (32768-60999)
      hinders  somebody listens on 127.0.0.1:7000 (open after 0.1 ms; closed at once)
               If that is the service you want, connect to it in the ordinary way; else let the
               peer use another port
    Nobody does:
      fine     nobody is on port 20000
      fine     port 20000 is outside ip_local_port_range (32768-60999)
      note     127.0.0.1:7000 refuses (RST), each of 3 times, after 0.1 ms at the soonest

A refusal is no hindrance: that is how it looks where the peer has not started yet.
"""

import socket
import sys
import textwrap

import anyio

from simopen import doctor


async def ask(remote: str, local: str) -> None:
    """Print what is found about both ends; the machine has a command of its own."""
    examination = await doctor.examine(remote, local=local)
    for finding in examination.findings:
        if finding.subject is doctor.Subject.MACHINE:
            continue
        print(f"  {finding.severity.value:8} {finding.title}")
        if finding.severity is doctor.Severity.HINDERS:
            print(textwrap.indent(textwrap.fill(finding.advice, 84), " " * 11))


async def main(*ends: str) -> None:
    """Ask about the two ends given; else about a port of this host, listened on and not."""
    if ends:
        await ask(*ends)
        return
    ends = "127.0.0.1:7000", "127.0.0.1:20000"
    with socket.create_server(("127.0.0.1", 7000)):
        print("Somebody listens there:")
        await ask(*ends)
    print("Nobody does:")
    await ask(*ends)


anyio.run(main, *sys.argv[1:])
