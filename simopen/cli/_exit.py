"""Exit codes that scripts can trust."""

OK = 0  # connected, and both directions ended in order
FAILED = 1  # could not connect, or the command could not do its work
USAGE = 2  # wrong use; nothing was sent
BROKEN = 3  # connected, and then the stream or standard output broke before both ends were done
INTERRUPTED = 130  # Ctrl-C; 128 + SIGINT, as shells count
