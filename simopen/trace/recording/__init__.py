"""Recording the packets of a call: the trace's sockets. Linux, with CAP_NET_RAW."""
