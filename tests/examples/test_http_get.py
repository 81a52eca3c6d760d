from __future__ import annotations

import pytest

from tests.examples.programs import EXAMPLES, Homes

pytestmark = pytest.mark.lab

# A server that keeps connections, for a second.
KEEPS = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Keeping(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 1

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

ThreadingHTTPServer(("127.0.0.1", 8000), Keeping).serve_forever()
"""

# In the place of what the program does with its arguments.
IN_TURN = """
async def in_turn() -> None:
    peer = simopen.PeerConnectable(
        rendezvous=sys.argv[1], secret=Path("tea.invite").read_text(), timeout=20
    )
    async with httpx.AsyncClient(transport=PeerTransport(peer), timeout=20) as client:
        await get(client, "http://peer/", [])
        await get(client, "http://peer/", [])
        await anyio.sleep(3)
        await get(client, "http://peer/", [])

anyio.run(in_turn)
"""


def test_pages_are_got(homes: Homes) -> None:
    """Pages come from a server on the other side's loopback, and a missing one is missing."""
    pages = homes.folder / "pages"
    pages.mkdir()
    (pages / "tea.txt").write_text("the kettle is on\n")
    (pages / "long").write_bytes(bytes(300_000))
    server = ["-m", "http.server", "--bind", "127.0.0.1", "--directory", str(pages), "8000"]
    homes.start("alice", *server)
    homes.wait_for_port("alice", 8000)
    homes.example("alice", "forward.py", "127.0.0.1:8000", role="serve")
    names = ["tea.txt", "long", "no"]
    asking = homes.example("bob", "http_get.py", *(f"http://peer/{name}" for name in names))
    code, said = asking.end()
    assert code == 0
    tea, long, no = sorted(said.splitlines(), key=lambda line: [n in line for n in names][::-1])
    assert tea == "200 OK: http://peer/tea.txt, 17 bytes"
    assert long == "200 OK: http://peer/long, 300,000 bytes"
    assert no.startswith("404 File not found: http://peer/no, ")


def test_no_server(homes: Homes) -> None:
    """A server that is not there is an error of httpx's, told in a line."""
    homes.example("alice", "forward.py", "127.0.0.1:8000", role="serve")
    code, said = homes.example("bob", "http_get.py", "http://peer/tea.txt").end()
    assert code == 1
    assert said.startswith("http://peer/tea.txt: ")
    assert "Traceback" not in said


def test_no_https(homes: Homes) -> None:
    """TLS inside the peers' own is refused in words."""
    homes.example("alice", "forward.py", "127.0.0.1:8000", role="serve")
    code, said = homes.example("bob", "http_get.py", "https://peer/tea.txt").end()
    assert code == 1
    assert said.startswith("https://peer/tea.txt: between peers it is http://")


def test_a_kept_connection_is_used_again(homes: Homes) -> None:
    """Requests one after the other take one punch, and a new one after the server has hung up."""
    homes.start("alice", "-c", KEEPS)
    homes.wait_for_port("alice", 8000)
    serving = homes.example("alice", "forward.py", "127.0.0.1:8000", role="serve")
    program, _, _ = (EXAMPLES / "http_get.py").read_text().partition("if len(sys.argv)")
    code, said = homes.start("bob", "-c", program + IN_TURN, homes.url).end()
    assert (code, said) == (0, "200 OK: http://peer/, 5 bytes\n" * 3)
    assert serving.said.count("encrypted") == 2
