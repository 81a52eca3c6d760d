"""Captures: written, read, and told as pictures. All pure.

`pcapng` writes and reads files and `packets` reads raw IP; `journey` follows each packet from
interface to interface, `conversation` finds out who talks to whom, `ladder` tells a TCP
conversation as steps, `folding` shortens it. `picture` draws it as text, and `svg` as SVG: with
`columns` for who is in it, `layout` for where everything goes, and a `sheet` on which no text lies
over another. Both say it in the same `words`. A conversation that was recorded at one end alone is
drawn with a `view`: the states of that end, and times at the other that are reckoned.
"""
