"""``python -m simopen``: the same as the ``simopen`` command."""

from simopen.cli import main

main()
