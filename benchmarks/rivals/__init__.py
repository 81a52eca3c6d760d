"""Rivals side by side: the same sites, the same seeds, in one run, one after the other.

``python -m benchmarks.rivals [--quick]`` prints tables and writes ``results/rivals.jsonl``
(``quick-`` in front for a short run): the environment and every rival's version, then a line for
each trial. A rival that cannot be installed or does not come up has a line with its own words.
The first run installs the rivals from PyPI, which takes some minutes. The short run takes a quarter
of an hour then, the full one an hour and a quarter: who does not get through takes all the time
there is. After each pair of sites, what there is goes to ``results/unfinished-rivals.jsonl``, which
also has what is asked for with ``--only`` or ``--pairs``.

Theory of operation
-------------------
Each rival is a published package in a virtual environment of its own (`venvs`). What drives it is
an *adapter* of ours (`adapters`), one file each, whose header says which of the rival's calls it
makes, with what settings, and what the rival is spared and not given. An adapter is a process in a
host of the lab that does as the runner tells it, a line of JSON at a time (`agent`).

For each pair of sites there is one network: hosts `a` and `b` behind their gateways, and `c`, which
is public and runs what third parties run: `observer` (says to whoever asks, by TCP or by STUN, from
which endpoint he is seen), simopen's coordinator, punchhole's T-STUN server, py-libp2p's relay.

A trial has two steps. First both sides prepare: they look up from outside the ports they are going
to use, gather candidates, make keys; the runner carries what one says to the other. Then both begin
at moments that the runner names, one later than the other by the skew. The contenders take turns in
an order drawn for each round, and round k of all of them has the same skew and the same phase.
Nothing else runs meanwhile.

What is counted
---------------
Time runs from the later start. *Usable*: the last side holds what it may send on. *Encrypted*: it
holds that with the other side's key exchange over; a rival without encryption has no such time. A
trial succeeds when both sides hold a stream, or ICE's path, and eight bytes of each have come
through it. What holds one side only, or carries nothing, has failed.

What is not the same for all
----------------------------
Contenders with *endpoints* are given the endpoints that the peer was seen to have: signalling has
no part in their time, and those who would agree on a moment over it (warpgate, py-libp2p) are given
a perfect one, the later start, so that no skew reaches them. Contenders with a *server* find each
other through the third host, and their time has the signalling in it.
"""
