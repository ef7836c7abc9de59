"""
Files over HTTP and HTTPS, as curl has them: proxies of the environment, redirections with their cookies, ranges.

A `Session` is what a download has with the address of a file: it knows where the last redirection led, and what cookies came on the way.
Where a proxy is asked for that Python does not speak (SOCKS, or one behind TLS), curl makes the requests.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import os
import re
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from email.message import Message
from http.cookiejar import CookieJar
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit
from urllib.request import Request

from .identify import Answer, disposition_name
from .say import Failure

CONNECT_TIMEOUT = 20
# Redirections that are followed, as many as curl does.
MOST_REDIRECTIONS = 50
_REDIRECTIONS = (301, 302, 303, 307, 308)


class Unreachable(Exception):
    """There is no answer; str() says why, without what a url may have in its query."""

    def __init__(self, why: str, for_good: bool = False) -> None:
        super().__init__(re.sub(r"\?\S*", "?...", why))
        # Whether asking again is of no use.
        self.for_good = for_good


class Stalled(Unreachable):
    """Nothing came for as long as may be."""


# --- proxies ----------------------------------------------------------------------------------------------------------


class Proxies:
    """Which proxy leads to an address, by the environment: http_proxy, https_proxy, all_proxy and no_proxy, in either case."""

    def __init__(self, environment: dict[str, str]) -> None:
        def value(*names: str) -> str:
            return next((environment[each] for name in names for each in (name, name.upper()) if environment.get(each)), "")

        self._proxies = {scheme: value(f"{scheme}_proxy", "all_proxy") for scheme in ("http", "https")}
        self._direct = [each for each in re.split(r"[,\s]+", value("no_proxy")) if each]

    def of(self, url: SplitResult) -> str:
        """The proxy for a url, as a url with its scheme; empty where there is none."""
        proxy = self._proxies.get(url.scheme, "")
        if not proxy or self._is_direct(url):
            return ""
        return proxy if "://" in proxy else f"http://{proxy}"

    def _is_direct(self, url: SplitResult) -> bool:
        host = (url.hostname or "").rstrip(".")
        return any(_matches(each.lower(), host, url.port) for each in self._direct)


def _matches(pattern: str, host: str, port: int | None) -> bool:
    """Whether a part of no_proxy is of this host: a domain is with all that is below it, an address may be of a network."""
    if pattern == "*":
        return True
    pattern = re.sub(r"^\*?\.", "", pattern).strip("[]")
    with_port = re.fullmatch(r"(.*[^:]):(\d+)", pattern)
    if with_port and ":" not in with_port.group(1):
        if int(with_port.group(2)) != port:
            return False
        pattern = with_port.group(1)
    if host == pattern or host.endswith(f".{pattern}"):
        return True
    if "/" not in pattern:
        return False
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return False


def refuse_unspoken(proxy: str, origin: str) -> None:
    """Says what is missing where a proxy is asked for that nothing here speaks."""
    scheme = proxy.partition("://")[0].lower()
    if scheme != "http" and shutil.which("curl") is None:
        raise Failure(
            1,
            f"cannot download {origin} by the proxy that is set: of the programs that can be used only curl speaks {scheme}",
            "  for instance:  sudo apt-get install curl",
        )


# --- responses --------------------------------------------------------------------------------------------------------


class Response:
    """An answer whose body is still to be read."""

    def __init__(self, status: int, headers: Message) -> None:
        self.status = status
        self.answer = _answer(status, headers)
        # Where in the file the body begins, and before which byte it ends; None where the server does not say.
        self.start, self.end = _range(status, headers)
        if self.end is None:
            self.end = self.answer.size

    @property
    def is_at_end(self) -> bool:
        """Whether all of it has been read, so that its connection can serve again."""
        return False

    def read(self, count: int) -> bytes:
        """As many bytes as are there, up to `count`; empty at the end. Raises OSError or HTTPException where the connection broke."""
        raise NotImplementedError

    def close(self) -> None:
        """Has whoever reads it, in another thread perhaps, stop."""
        raise NotImplementedError


def _answer(status: int, headers: Message) -> Answer:
    if status not in (200, 206):
        return Answer()
    size: str | None = headers.get("Content-Length")
    ranged = re.search(r"/(\d+)\s*$", headers.get("Content-Range", ""))
    if ranged:
        size = ranged.group(1)
    elif status == 206 or headers.get("Transfer-Encoding", "identity") != "identity":
        size = None
    return Answer(
        int(size) if size and size.isascii() and size.isdigit() else None,
        headers.get("ETag", "") + headers.get("Last-Modified", ""),
        headers.get("Content-Type", "").partition(";")[0].strip().lower(),
        disposition_name(headers.get("Content-Disposition", "")),
    )


def _range(status: int, headers: Message) -> tuple[int, int | None]:
    found = re.match(r"bytes\s+(\d+)-(\d+)", headers.get("Content-Range", "")) if status == 206 else None
    return (int(found.group(1)), int(found.group(2)) + 1) if found else (0, None)


class _DirectResponse(Response):
    def __init__(
        self, connection: http.client.HTTPConnection, sock: socket.socket | None, way: str, response: http.client.HTTPResponse
    ) -> None:
        super().__init__(response.status, response.headers)
        self._connection = connection
        # The connection forgets it where it serves this answer alone.
        self._socket = sock
        self._way = way
        self._response = response

    def read(self, count: int) -> bytes:
        data = self._response.read1(count)
        if not data and self._response.length:
            raise ConnectionError(f"the connection ended, and {self._response.length} bytes were still to come")
        return data

    @property
    def is_at_end(self) -> bool:
        return self._response.length == 0 and self._connection.sock is not None

    def connection(self, way: str) -> http.client.HTTPConnection | None:
        """Its connection, for the next request, where that goes the same way and it is free."""
        if not self.is_at_end or way != self._way:
            self.close()
            return None
        self._response.close()
        return self._connection

    def close(self) -> None:
        _shut_down(self._socket)
        self._response.close()
        self._connection.close()


def _shut_down(sock: socket.socket | None) -> None:
    """Wakes up whoever waits for it."""
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class _CurlResponse(Response):
    def __init__(self, process: subprocess.Popen[bytes], status: int, headers: Message, timeout: float) -> None:
        super().__init__(status, headers)
        self._process = process
        self._timeout = timeout

    def read(self, count: int) -> bytes:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], self._timeout)[0]:
            raise TimeoutError
        data = os.read(self._process.stdout.fileno(), count)
        if not data and self._process.wait() != 0:
            raise ConnectionError(_said_by_curl(self._process))
        return data

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


# --- requests ---------------------------------------------------------------------------------------------------------


# Of a url: what it may have, and what is encoded already.
_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~-._"


def split(url: str) -> SplitResult:
    """A url as it is sent: what is not ASCII is encoded. Raises Unreachable where it is none."""
    try:
        given = urlsplit(url)
        if not given.netloc.isascii():
            given = given._replace(netloc=given.netloc.encode("idna").decode())
        parts = urlsplit(quote(given.geturl(), safe=_AS_IT_IS))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("no address")
        parts.port  # noqa: B018  Raises ValueError where it is none.
        return parts
    except ValueError as error:
        raise Unreachable(f"{url} is not an http or https url: {error}", for_good=True) from error


def _led_to(url: str, location: str) -> str:
    """Where a redirection leads, whose header http.client reads in ISO 8859-1: its bytes are sent as they came. Raises Unreachable."""
    target = quote(location.encode("latin-1", "replace"), safe=_AS_IT_IS)
    try:
        target = urljoin(url, target)
        if urlsplit(target).scheme in ("http", "https"):
            return target
    except ValueError:
        pass
    raise Unreachable(f"it leads to {target}, which is no http or https url", for_good=True)


class Session:
    """Requests for one file, by several threads; see above."""

    def __init__(self, url: str, proxies: Proxies, timeout: float) -> None:
        self._url = url
        # Where the last redirection led; other ranges are asked for there.
        self._resolved: str | None = None
        self._proxies = proxies
        self._timeout = timeout
        self._cookies = CookieJar()
        self._lock = threading.Lock()
        # Connections whose answers have not begun.
        self._asked: set[http.client.HTTPConnection] = set()
        self._is_ended = False

    @property
    def was_led_on(self) -> bool:
        """Whether requests go where a redirection led."""
        return self._resolved not in (None, self._url)

    def forget(self) -> None:
        """Goes the whole way again: where the redirection led may have been good for some minutes."""
        self._resolved = None

    def end(self) -> None:
        """Has those who wait for an answer get none, now and from now on."""
        with self._lock:
            self._is_ended = True
            for connection in self._asked:
                _shut_down(connection.sock)

    @contextlib.contextmanager
    def _waiting(self, connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
        """While an answer, or a connection, is waited for; so many seconds at most."""
        with self._lock:
            if self._is_ended:
                raise ConnectionAbortedError
            self._asked.add(connection)
        try:
            with _Deadline(connection, seconds):
                yield
        finally:
            with self._lock:
                self._asked.discard(connection)

    def get(self, start: int = 0, end: int | None = None, reuse: Response | None = None, method: str = "GET") -> Response:
        """
        Asks for the file, or for its bytes from `start` to before `end`. `reuse`: the last answer of this thread, whose connection is used
        again where it can be. Raises Unreachable.
        """
        ranged = f"bytes={start}-{'' if end is None else end - 1}" if start > 0 or end is not None else ""
        url = self._resolved or self._url
        for _ in range(MOST_REDIRECTIONS):
            parts = split(url)
            proxy = self._proxies.of(parts)
            try:
                if proxy and not proxy.lower().startswith("http://"):
                    return self._by_curl(url, ranged, method)
                status, headers, response = self._ask(parts, proxy, ranged, method, reuse)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise (Stalled if is_timeout(error) else Unreachable)(why(error)) from error
            reuse = None
            target = headers.get("Location")
            if status not in _REDIRECTIONS or target is None:
                self._resolved = url
                return response
            response.close()
            url = _led_to(url, target.strip())
        raise Unreachable(f"more than {MOST_REDIRECTIONS} redirections", for_good=True)

    def ask(self) -> Answer | None:
        """What the server says of the file without sending it; None where it says nothing."""
        for method, end in (("HEAD", None), ("GET", 1)):
            try:
                response = self.get(0, end, method=method)
            except Unreachable:
                return None
            response.close()
            if response.status in (200, 206):
                return response.answer
            # A url that is signed for GET alone: asked for one byte.
            if response.status not in (403, 405, 501):
                return None
        return None

    def _ask(
        self, parts: SplitResult, proxy: str, ranged: str, method: str, reuse: Response | None
    ) -> tuple[int, Message, _DirectResponse]:
        headers = {"User-Agent": "gpubox", "Accept": "*/*"}
        if ranged:
            headers["Range"] = ranged
        if parts.username is not None:
            headers["Authorization"] = _basic(parts)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        # Python's cookies take requests of its own kind.
        bare = parts._replace(netloc=_authority(parts))
        if proxy and parts.scheme == "http":
            target = bare._replace(fragment="").geturl()
            login = urlsplit(proxy)
            if login.username is not None:
                headers["Proxy-Authorization"] = _basic(login)
        request = Request(bare.geturl())
        with self._lock:
            self._cookies.add_cookie_header(request)
        headers.update(request.unredirected_hdrs)
        headers["Host"] = _authority(parts)
        way = f"{parts.scheme}://{_authority(parts)} {proxy}"
        connection = reuse.connection(way) if isinstance(reuse, _DirectResponse) else None
        if connection is not None:
            try:
                sock, response = self._answered(connection, method, target, headers)
            except (http.client.HTTPException, OSError) as error:
                if is_timeout(error):
                    raise
                # The server has closed it in the meantime.
                connection = None
        if connection is None:
            connection = self._connect(parts, proxy)
            sock, response = self._answered(connection, method, target, headers)
        with self._lock:
            self._cookies.extract_cookies(response, request)
        return response.status, response.headers, _DirectResponse(connection, sock, way, response)

    def _connect(self, parts: SplitResult, proxy: str) -> http.client.HTTPConnection:
        secure = parts.scheme == "https"
        to = (parts.hostname or "", parts.port or (443 if secure else 80))
        host, port = to
        login: dict[str, str] = {}
        if proxy:
            way = urlsplit(proxy)
            # 1080 is what curl takes where there is none.
            host, port = way.hostname or "", way.port or 1080
            if way.username is not None:
                login["Proxy-Authorization"] = _basic(way)
        connection: http.client.HTTPConnection
        if secure:
            connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_TIMEOUT, context=_trust())
        else:
            connection = http.client.HTTPConnection(host, port, timeout=CONNECT_TIMEOUT)
        if proxy and secure:
            connection.set_tunnel(*to, headers=login)
        with self._waiting(connection, CONNECT_TIMEOUT + self._timeout):
            connection.connect()
        connection.sock.settimeout(self._timeout)
        return connection

    def _answered(
        self, connection: http.client.HTTPConnection, method: str, target: str, headers: dict[str, str]
    ) -> tuple[socket.socket | None, http.client.HTTPResponse]:
        """Makes a request, and gives the answer to it, with the socket that it comes by."""
        sock = connection.sock
        try:
            with self._waiting(connection, self._timeout):
                connection.putrequest(method, target, skip_host=True)
                for name, value in headers.items():
                    connection.putheader(name, value)
                connection.endheaders()
                return sock, connection.getresponse()
        except BaseException:
            connection.close()
            raise

    def _by_curl(self, url: str, ranged: str, method: str) -> Response:
        # It reads the url from standard input: a process list shows arguments to everybody. Not its own configuration.
        options = ["-q", "-g", "-sSL", "-i", "--suppress-connect-headers", "--proto", "=http,https", "--proto-redir", "=http,https"]
        options += ["--speed-limit", "1", "--speed-time", str(max(1, round(self._timeout)))]
        options += ["--connect-timeout", str(CONNECT_TIMEOUT), "--cookie", "", "-A", "gpubox", "--config", "-"]
        if ranged:
            options += ["-r", ranged.partition("=")[2]]
        if method == "HEAD":
            options.append("-I")
        process = subprocess.Popen(
            ["curl", *options],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment(url),
        )
        assert process.stdin is not None and process.stdout is not None
        with process.stdin as config:
            config.write(f'url = "{url}"\n'.encode())
        while True:
            if not select.select([process.stdout], [], [], CONNECT_TIMEOUT + self._timeout)[0]:
                process.kill()
                raise TimeoutError
            # Read byte by byte: what comes after the headers is not ours to take here.
            line = process.stdout.readline(65536)
            if not line:
                process.wait()
                raise Unreachable(_said_by_curl(process), for_good=process.returncode in (1, 3))
            status = int(line.split()[1])
            headers = http.client.parse_headers(process.stdout)
            if status >= 200 and not (status in _REDIRECTIONS and "Location" in headers):
                return _CurlResponse(process, status, headers, self._timeout)

    def _environment(self, url: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return {**kept, "all_proxy": self._proxies.of(split(url))}


def _said_by_curl(process: subprocess.Popen[bytes]) -> str:
    said = process.stderr.read(65536).decode(errors="replace").strip() if process.stderr is not None else ""
    last = said.splitlines()[-1] if said else f"curl ended with {process.returncode}"
    return re.sub(r"^curl: (\(\d+\) )?", "", last)


class _Deadline:
    """So many seconds for all of a block: the timeout of a socket begins anew with each byte. Raises TimeoutError."""

    def __init__(self, connection: http.client.HTTPConnection, seconds: float) -> None:
        self._connection = connection
        self._is_over = False
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def _end(self) -> None:
        self._is_over = True
        _shut_down(self._connection.sock)

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._timer.cancel()
        if self._is_over and kind is not None:
            raise TimeoutError


def _basic(parts: SplitResult) -> str:
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(login.encode()).decode()


def _authority(parts: SplitResult) -> str:
    """Host and port, as they were given."""
    return parts.netloc.rpartition("@")[2]


@functools.cache
def _trust() -> ssl.SSLContext:
    """Whom a server's certificate may be of: the system's, or what SSL_CERT_FILE, SSL_CERT_DIR or CURL_CA_BUNDLE names."""
    return ssl.create_default_context(cafile=os.environ.get("CURL_CA_BUNDLE") or None)


def is_timeout(error: BaseException) -> bool:
    # The same since Python 3.10.
    return isinstance(error, (TimeoutError, socket.timeout))


def why(error: BaseException) -> str:
    """An error of a connection, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if is_timeout(error):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the connection ended before there was an answer"
    if isinstance(error, http.client.HTTPException):
        return f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
