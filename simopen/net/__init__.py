"""The net room: the punch core's actions on real sockets.

- :mod:`~simopen.net._sockets`: the one opener, the one closer, every socket option.
- :mod:`~simopen.net._tcp_info`: what the kernel knows of a connection.
- :mod:`~simopen.net._errno`: what an error number of ``connect()`` means.
- :mod:`~simopen.net._addresses`: names to addresses, and the source address a remote will see.
- :mod:`~simopen.net._port_state`: who holds a local port.
- :mod:`~simopen.net._local_ports`: which ports a socket that is not bound can get.
- :mod:`~simopen.net._self_connection`: a socket that is connected to itself.
- :mod:`~simopen.net._executor`: runs one lane.
- :mod:`~simopen.net._stream`: the stream over the connected socket.
"""
