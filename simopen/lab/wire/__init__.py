"""What happens between hosts, without a clock, a file descriptor or randomness of its own.

`link` decides when a packet arrives, `gateway` is the NAT or firewall (it reads and rewrites by
`headers`), and `fabric` joins them and other `parts` as a planned network for an executor to drive.
"""
