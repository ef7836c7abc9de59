from __future__ import annotations

import http.server
import socket
import ssl
import threading
import time
import unittest
from typing import Callable

from gpubox_data.web import Proxies, Response, Session, Stalled, Unreachable, split, why

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class ProxiesTest(unittest.TestCase):
    def test_either_case_and_every_scheme(self) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            with self.subTest(name):
                proxies = Proxies({name: "proxy.example:3128"})
                self.assertEqual(proxies.of(split("http://a.example/x")), "http://proxy.example:3128")
        self.assertEqual(Proxies({"http_proxy": "http://p:1"}).of(split("https://a.example/x")), "")
        self.assertEqual(Proxies({"https_proxy": "", "ALL_PROXY": "socks5h://p:1"}).of(split("https://a.example/x")), "socks5h://p:1")

    def test_what_goes_by_none(self) -> None:
        proxies = Proxies({"all_proxy": "http://p:1", "NO_PROXY": "example.org, *.corp 10.0.0.0/8,.dotted fe80::/16 y.example:81"})
        for host, direct in (
            ("example.org", True),
            ("a.EXAMPLE.org", True),
            ("notexample.org", False),
            ("a.corp", True),
            ("corp", True),
            ("a.dotted", True),
            ("10.1.2.3", True),
            ("11.1.2.3", False),
            ("[fe80::1]", True),
            ("y.example", False),
            ("y.example:81", True),
        ):
            with self.subTest(host):
                self.assertEqual(proxies.of(split(f"http://{host}/x")) == "", direct)
        self.assertEqual(Proxies({"all_proxy": "http://p:1", "no_proxy": "*"}).of(split("http://a/x")), "")


class Urls(unittest.TestCase):
    def test_what_is_not_ascii_is_encoded(self) -> None:
        self.assertEqual(split("http://münchen.example/zoë%20a?b=ü").geturl(), "http://xn--mnchen-3ya.example/zo%C3%AB%20a?b=%C3%BC")

    def test_what_is_none(self) -> None:
        for url in ("http:///x", "ftp://a/x", "http://a:port/x", "http://[::1/x"):
            with self.subTest(url), self.assertRaises(Unreachable):
                split(url)


class SessionTest(unittest.TestCase):
    """Requests to a server of the test's own."""

    def serve(self, answer: Answer) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_address[1]}"

    @staticmethod
    def send(handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    def session(self, url: str) -> Session:
        return Session(url, Proxies({}), 5)

    def whole(self, response: Response) -> bytes:
        self.addCleanup(response.close)
        parts = []
        while part := response.read(10):
            parts.append(part)
        return b"".join(parts)

    def test_a_redirection_without_an_end(self) -> None:
        url = self.serve(lambda handler: self.send(handler, 302, Location="/again"))
        with self.assertRaisesRegex(Unreachable, "more than 50 redirections") as refused:
            self.session(f"{url}/x").get()
        self.assertTrue(refused.exception.for_good)

    def test_a_redirection_to_a_file_of_this_machine(self) -> None:
        url = self.serve(lambda handler: self.send(handler, 302, Location="file:///etc/passwd"))
        with self.assertRaisesRegex(Unreachable, "no http or https url"):
            self.session(f"{url}/x").get()

    def test_a_redirection_to_nowhere(self) -> None:
        url = self.serve(lambda handler: self.send(handler, 302, Location="http://[bad/"))
        with self.assertRaisesRegex(Unreachable, "no http or https url"):
            self.session(f"{url}/x").get()

    def test_a_redirection_is_followed_by_its_bytes(self) -> None:
        seen = []

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            seen.append(handler.path)
            # The header is written in ISO 8859-1.
            self.send(handler, 302 if len(seen) == 1 else 200, Location="/zoë%20a".encode().decode("latin-1"))

        self.whole(self.session(f"{self.serve(answer)}/x").get())
        self.assertEqual(seen, ["/x", "/zo%C3%AB%20a"])

    def test_headers_that_never_end(self) -> None:
        for sent in (b"y", b"HTTP/1.1 100 Continue\r\n\r\n"):
            with self.subTest(sent):

                def answer(handler: http.server.BaseHTTPRequestHandler, sent: bytes = sent) -> None:
                    handler.close_connection = True
                    try:
                        while True:
                            handler.wfile.write(sent)
                            time.sleep(0.05)
                    except OSError:
                        pass

                began = time.monotonic()
                with self.assertRaises(Stalled):
                    Session(f"{self.serve(answer)}/x", Proxies({}), 1).get()
                self.assertLess(time.monotonic() - began, 4)

    def test_a_login_in_the_address_goes_to_that_host_alone(self) -> None:
        seen = []

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            seen.append(handler.headers.get("Authorization"))
            if len(seen) == 1:
                host = handler.headers["Host"].replace("127.0.0.1", "localhost")
                self.send(handler, 302, Location=f"http://{host}/next")
            else:
                self.send(handler, 200, b"x")

        url = self.serve(answer).replace("http://", "http://me:secret@")
        self.assertEqual(self.whole(self.session(f"{url}/x").get()), b"x")
        self.assertEqual(seen, ["Basic bWU6c2VjcmV0", None])

    def test_a_connection_serves_again_and_may_have_been_closed(self) -> None:
        connections = []

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            connections.append(handler.client_address)
            if len(connections) == 2:
                # As one that waited too long: closed without a word.
                handler.close_connection = True
                handler.connection.shutdown(socket.SHUT_WR)
                return
            self.send(handler, 206, b"abc", Content_Range="bytes 3-5/9")

        session = self.session(f"{self.serve(answer)}/x")
        first = session.get(3, 6)
        self.assertEqual((first.start, first.end, first.answer.size), (3, 6, 9))
        self.assertEqual(self.whole(first), b"abc")
        second = session.get(3, 6, first)
        self.assertEqual(self.whole(second), b"abc")
        third = session.get(3, 6, second)
        self.assertEqual(self.whole(third), b"abc")
        self.assertEqual(connections[0], connections[1])
        self.assertNotEqual(connections[1], connections[2])
        self.assertEqual(connections[2], connections[3])

    def test_an_answer_that_ends_too_soon_is_an_error(self) -> None:
        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "10")
            handler.end_headers()
            handler.wfile.write(b"abc")
            handler.close_connection = True

        response = self.session(f"{self.serve(answer)}/x").get()
        with self.assertRaisesRegex(OSError, "7 bytes were still to come"):
            self.whole(response)

    def test_a_certificate_of_nobody_known(self) -> None:
        error = ssl.SSLCertVerificationError()
        error.verify_message = "self-signed certificate"
        self.assertEqual(why(error), "its certificate is not to be trusted: self-signed certificate")

    def test_why_has_no_query(self) -> None:
        self.assertEqual(
            str(Unreachable("it leads to ftp://a/b?signature=canary, which is none")), "it leads to ftp://a/b?... which is none"
        )
