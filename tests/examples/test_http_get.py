from __future__ import annotations

import pytest

from tests.examples.programs import Homes

pytestmark = pytest.mark.lab


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
    _, said = homes.example("bob", "http_get.py", "http://peer/tea.txt").end()
    assert said.startswith("http://peer/tea.txt: ")
    assert "Traceback" not in said
