"""Rendezvous: two hosts that share a room are introduced to each other by a coordinator.

- :mod:`~simopen.rendezvous.protocol`: both ends of the conversation, pure; its header is the
  theory of operation, and ``docs/protocol.md`` has the bytes.

What stands beside it runs that protocol on sockets: the coordinator, and its client. The
coordinator is not trusted: what it sees of a room is a tag, what it passes on is sealed.
"""
