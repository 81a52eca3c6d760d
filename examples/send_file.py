"""Send a file to a peer, with progress; what breaks on the way goes on where it was.

The same invite in a file on both sides, which (umask 077; simopen invite > tea.invite) makes;
it does not matter who starts:

    one$ python send_file.py send    tcp://coord.example:7337 tea.invite photos.tar
    two$ python send_file.py receive tcp://coord.example:7337 tea.invite photos.tar
    photos.tar: 63 %, 12.3 of 19.6 MB
    the connection broke; waiting for the other
    photos.tar: 64 %, 12.6 of 19.6 MB
    photos.tar is complete

Either program may also be ended and started again: what has arrived is in a file ending in .part.

The sender begins with the file's length and SHA-256, and the receiver answers how much of that file
it has. The rest follows, and once all of it is on disk and has the right checksum the receiver says
so: only then does the sender know.
"""

import hashlib
import os
import struct
import sys
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.streams.buffered import BufferedByteReceiveStream

import simopen

FILE = struct.Struct("!Q32s")  # length in bytes, SHA-256
OFFSET = struct.Struct("!Q")  # bytes that the receiver has
COMPLETE = b"complete"
CHUNK = 65_536  # bytes read from the disk at once, and as much as a stream brings at once
PATIENCE = 300  # seconds to wait for the other side, at first and after a break
PAUSE = 1  # seconds before connecting again
SILENCE = 30  # seconds in which nothing moves: a host that is switched off says no goodbye

BROKEN = (anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead, TimeoutError)


async def send(stream: simopen.PeerStream, path: Path, digest: bytes) -> None:
    """Send what the peer has not got; it is done when the peer says so."""
    answers = BufferedByteReceiveStream(stream)
    async with await anyio.open_file(path, "rb") as file:
        size = await file.seek(0, os.SEEK_END)
        await stream.send(FILE.pack(size, digest))
        with anyio.fail_after(SILENCE):
            (done,) = OFFSET.unpack(await answers.receive_exactly(OFFSET.size))
        await file.seek(done)
        while chunk := await file.read(CHUNK):
            with anyio.fail_after(SILENCE):
                await stream.send(chunk)  # waits while the peer is slower than our disk
            done += len(chunk)
            tell(path, done, size)
    await stream.send_eof()
    with anyio.fail_after(PATIENCE):  # the peer reads all of it once more
        if await answers.receive_exactly(len(COMPLETE)) != COMPLETE:
            sys.exit("the peer does not speak as this program")


async def receive(stream: simopen.PeerStream, path: Path) -> None:
    """Receive the rest, check all of it, and give it its name."""
    incoming = BufferedByteReceiveStream(stream)
    with anyio.fail_after(SILENCE):
        size, expected = FILE.unpack(await incoming.receive_exactly(FILE.size))
    part = path.with_name(f"{path.name}.{expected.hex()[:16]}.part")
    async with await anyio.open_file(part, "ab") as file:
        done = await file.tell()
        await stream.send(OFFSET.pack(done))
        while done < size:
            with anyio.fail_after(SILENCE):
                chunk = await incoming.receive(min(CHUNK, size - done))
            await file.write(chunk)
            done += len(chunk)
            tell(path, done, size)
    if await to_thread.run_sync(checksum, part) != expected:
        part.unlink()
        sys.exit("the file has changed on its way; start again")
    part.replace(path)
    await stream.send(COMPLETE)


def checksum(path: Path) -> bytes:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def tell(path: Path, done: int, size: int) -> None:
    """Show how far it is, where somebody is looking."""
    if sys.stderr.isatty():
        share = f"{done / size:.0%}".replace("%", " %")
        line = f"{path.name}: {share}, {done / 1e6:.1f} of {size / 1e6:.1f} MB"
        print(f"\r{line}", end="\n" if done == size else "", file=sys.stderr)


async def main(role: str, url: str, invite: str, path: Path) -> None:
    """Connect, again whenever the connection breaks, until the file is over."""
    peer = simopen.PeerConnectable(rendezvous=url, secret=invite, timeout=PATIENCE)
    talk = partial(receive, path=path)
    if role == "send":
        talk = partial(send, path=path, digest=await to_thread.run_sync(checksum, path))
    while True:
        async with await peer.connect() as stream:
            try:
                await talk(stream)
            except BROKEN:
                print("\nthe connection broke; waiting for the other", file=sys.stderr)
            else:
                break
        await anyio.sleep(PAUSE)
    print(f"{path.name} is complete", file=sys.stderr)


if len(sys.argv) != 5:
    sys.exit(__doc__)
try:
    role, url, invite, path = sys.argv[1:]
    anyio.run(main, role, url, Path(invite).read_text(), Path(path))
except (simopen.SimopenError, OSError) as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    sys.exit(130)
