from __future__ import annotations

import os
import re
import socket
import tempfile
import threading
import time
from typing import Callable

from gpubox_data.download import Changed, Download, GivenUp, Limits, Wanted
from gpubox_data.slots import Slots
from gpubox_data.source import Interrupted
from gpubox_data.web import Proxies, Session
from scratch import Scratch

BODY = bytes(range(256)) * 12_000


class Connection:
    """A client, to one of the servers below."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self._sock = sock
        # The first is 1.
        self.number = number

    def part(self, size: int = len(BODY)) -> tuple[int, int] | None:
        """Reads a request, and gives the part of a file of this size that it asks for."""
        head = b""
        while b"\r\n\r\n" not in head:
            block = self._sock.recv(65536)
            if not block:
                raise ConnectionError
            head += block
        found = re.search(rb"Range: bytes=(\d+)-(\d*)", head)
        return (int(found[1]), int(found[2]) + 1 if found[2] else size) if found else None

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self._sock.sendall(part)

    def answer(self, part: tuple[int, int] | None, body: bytes = BODY, most: int | None = None, headers: str = 'ETag: "1"') -> None:
        """Sends a part of a file, or all of it; of that `most` bytes."""
        start, end = part or (0, len(body))
        status = f"206 Partial Content\r\nContent-Range: bytes {start}-{end - 1}/{len(body)}" if part else "200 OK"
        self.send(f"HTTP/1.1 {status}\r\nContent-Length: {end - start}\r\n{headers}\r\n\r\n".encode(), body[start:end][:most])

    def refuse(self, status: str) -> None:
        self.send(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())


class DownloadTest(Scratch):
    def serve(self, handler: Callable[[Connection], None]) -> str:
        """Has a function serve each connection, which is closed after it; gives the server's address."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        self.connections = 0

        def serve_one(sock: socket.socket, number: int) -> None:
            with sock:
                try:
                    handler(Connection(sock, number))
                except OSError:
                    pass

        def serve_all() -> None:
            while True:
                try:
                    sock, _ = listening.accept()
                except OSError:
                    return
                self.connections += 1
                threading.Thread(target=serve_one, args=(sock, self.connections), daemon=True).start()

        threading.Thread(target=serve_all, daemon=True).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}/a.bin"

    def download(self, url: str, sha256: str = "", connections: int = 1, patience: int = 20) -> Download:
        """One that has begun."""
        state = tempfile.mkdtemp(dir=self.folder)
        download = Download(
            session=Session(url, Proxies({}), patience),
            url=url,
            origin=url,
            root=str(self.folder),
            state=state,
            wanted=Wanted(sha256, None, "a.bin"),
            limits=Limits(0, 1, patience),
            slots=Slots(str(self.folder), connections),
        )
        self.addCleanup(download.close)
        download.start()
        return download

    def brought(self, download: Download) -> bytes:
        """All of it, within ten seconds."""
        self.within(10, download.wait_for_all)
        return download.read(0, download.size or 0)

    def given_up(self, download: Download) -> BaseException | None:
        """Why it ended."""
        with self.assertRaises(Interrupted):
            self.within(10, download.wait_for_all)
        return download.problem

    def within(self, seconds: float, step: Callable[[], object]) -> None:
        """Does a step that may never end, and raises what it does."""
        errors: list[BaseException] = []

        def run() -> None:
            try:
                step()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(seconds)
        self.assertFalse(thread.is_alive(), "it does not end")
        if errors:
            raise errors[0]

    def test_it_goes_on_where_every_answer_breaks(self) -> None:
        url = self.serve(lambda client: client.answer(client.part(), most=100_000))
        self.assertEqual(self.brought(self.download(url)), BODY)

    def test_it_goes_on_where_the_size_is_known_at_the_end_only(self) -> None:
        def handle(client: Connection) -> None:
            start, end = client.part() or (0, len(BODY))
            client.send(f"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{end - 1}/*\r\n".encode())
            client.send(b'ETag: "1"\r\nTransfer-Encoding: chunked\r\n\r\n')
            for at in range(start, min(end, start + 1_500_000), 100_000):
                data = BODY[at : min(end, at + 100_000)]
                client.send(f"{len(data):x}\r\n".encode(), data, b"\r\n")
            if end <= start + 1_500_000:
                client.send(b"0\r\n\r\n")

        self.assertEqual(self.brought(self.download(self.serve(handle))), BODY)

    def test_it_gives_up_where_the_server_always_begins_again_and_breaks(self) -> None:
        def handle(client: Connection) -> None:
            client.part()
            client.answer(None, most=1_500_000)

        self.assertIsInstance(self.given_up(self.download(self.serve(handle))), GivenUp)
        self.assertLessEqual(self.connections, 6)

    def test_it_gives_up_where_the_server_sends_another_part(self) -> None:
        def handle(client: Connection) -> None:
            client.part()
            client.send(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 9-1/5\r\n\r\n")

        self.assertIsInstance(self.given_up(self.download(self.serve(handle))), GivenUp)
        self.assertEqual(self.connections, 5)

    def test_a_file_that_changes_is_told(self) -> None:
        for name, size in (("longer", len(BODY) + 99), ("as long", len(BODY)), ("shorter", 2_000_000), ("no longer there", 1_000_000)):
            with self.subTest(name):

                def handle(client: Connection, size: int = size) -> None:
                    part = client.part(size)
                    if client.number == 1:
                        client.answer(None, most=1_500_000)
                    elif part is not None and part[0] >= size:
                        client.refuse("416 Range Not Satisfiable")
                    else:
                        client.answer(part, bytes(size), headers='ETag: "2"')

                download = self.download(self.serve(handle))
                self.assertIsInstance(self.given_up(download), Changed)
                download.stop()

    def test_it_ends_at_once_where_nothing_comes(self) -> None:
        def stall(client: Connection) -> None:
            client.answer(client.part(), most=1000, headers="Connection: close")
            time.sleep(5)

        def say_nothing(client: Connection) -> None:
            client.part()
            time.sleep(5)

        for handle in (stall, say_nothing):
            with self.subTest(handle.__name__):
                download = self.download(self.serve(handle))
                time.sleep(0.3)
                began = time.monotonic()
                self.within(10, download.stop)
                self.assertLess(time.monotonic() - began, 1)

    def test_a_server_that_lets_others_wait_is_waited_for_once(self) -> None:
        alone = threading.Lock()

        def handle(client: Connection) -> None:
            with alone:
                client.answer(client.part(len(BODY) * 3), BODY * 3, headers="Connection: close")

        began = time.monotonic()
        self.assertEqual(self.brought(self.download(self.serve(handle), "0" * 64, connections=8)), BODY * 3)
        self.assertLess(time.monotonic() - began, 4)

    def test_others_have_the_connections_that_a_server_refuses(self) -> None:
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def handle(client: Connection) -> None:
            part = client.part()
            if part is not None:
                client.refuse("403 Forbidden")
                return
            client.answer(None, most=1_500_000)
            go_on.wait(10)

        download = self.download(self.serve(handle), connections=2)
        download.wait_for_answer()
        others = Slots(str(self.folder), 2)
        self.within(5, others.take_first)
        others.give_back()
        go_on.set()

    def test_a_pipe_is_not_waited_for(self) -> None:
        from gpubox_data.source import Source

        os.mkfifo(self.folder / "pipe")
        self.within(5, lambda: Source(str(self.folder / "pipe")).close())
