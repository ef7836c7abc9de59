"""
Brings the file at a url, over several connections in order from its front, while others read it.

Some addresses are good for one request. So the first one asks for all of the file, and what it says is looked at as the file arrives. Where
it is long, other connections ask for the parts that come next, each a claim; the first goes on reading until it comes to what another one
has. Where they are not given any, the first brings all of it.

In the state folder: KEY.part, with holes where nothing has come yet; KEY.have, what of it is there; KEY.answer, what the server said of the
file; KEY.file, once it is whole. KEY is the file's hash, or "unseen" where that is not known.
"""

from __future__ import annotations

import errno
import http.client
import os
import threading
import time

from .arrived import Arrived, first_gap
from .files import Files
from .identify import Answer, kind_by_name
from .places import free_bytes, remove
from .say import Failure, megabytes, quoted, say, time_left
from .seen import url_name
from .slots import MOST_OF_ONE, Slots
from .source import Interrupted, Source
from .web import Response, Session, Stalled, Unreachable, is_timeout, why

_READ = 1 << 17
# A claim of a connection, in bytes: what it brings in a second, within these.
LEAST_CLAIM = 1 << 20
MOST_CLAIM = 16 << 20
# So much is written down at a time, in bytes: what a kill may lose of each connection.
_NOTED = 1 << 18
# Seconds in which it shows whether a server gives parts of a file; some let other connections wait. Counted once for all of them.
_PARTS_PATIENCE = 2
_TRIES = 5
_CRAWLS = 2
_WORTH_ANOTHER_TRY = (408, 425, 429)


class Limits:
    """
    retry_delay: seconds before the first retry; grows with each. speed: bytes a second below which, for `patience` seconds, a connection is
    too slow.
    """

    def __init__(self, retry_delay: int, speed: int, patience: int) -> None:
        self.retry_delay = retry_delay
        self.speed = speed
        self.patience = patience


class Wanted:
    """What is known of the file that is wanted: each empty, or None, where it is not known. size: in bytes."""

    def __init__(self, sha256: str, size: int | None, name: str) -> None:
        self.sha256 = sha256
        self.size = size
        self.name = name


class WrongSize(Exception):
    """The server has another file: it says so many bytes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size


class Changed(Exception):
    """The server has another file by now than the one of which the beginning has been read."""


class GivenUp(Exception):
    """A request did not bring what it was for. for_good: asking again is of no use. slow: it was too slow."""

    def __init__(self, text: str, for_good: bool = False, slow: bool = False) -> None:
        super().__init__(text)
        self.for_good = for_good
        self.slow = slow


class Download(Source):
    """
    A file that arrives; `start` begins. Readers wait for what they need, as with any Source.

    origin: what messages call it. root: of the stack, for messages.
    """

    def __init__(
        self, *, session: Session, url: str, origin: str, root: str, state: str, wanted: Wanted, limits: Limits, slots: Slots
    ) -> None:
        self.session = session
        self._url = url
        self._origin = origin
        self._root = root
        self._state = state
        self._wanted = wanted
        self._limits = limits
        self._slots = slots
        self._files = Files(state, wanted.sha256)
        self.path = self._files.part
        self.answer = self._files.recall(url) or Answer()
        self.size = self.answer.size
        remove(*self._files.foreign)
        if not wanted.sha256 and not self.answer.version:
            # Nothing would tell whether what is there is still of the same file.
            self._files.remove_part()
        self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        self._arrived = Arrived.read(self._files.have, os.fstat(self.file).st_size)
        # Whether some of it is from an earlier run.
        self.is_continued = self._arrived.count > 0
        self._lock = threading.Condition()
        # Of each connection: the range that it is to bring. Connection 0 is the first.
        self._claims: dict[int, tuple[int, int]] = {}
        self._first: tuple[int, int] = (0, 0)
        # Whether the server gives parts of the file; None as long as that is not known.
        self._gives_parts: bool | None = None
        self._is_answered = False
        self._is_whole = False
        self._was_announced = self.size is not None
        self._stopped: BaseException | None = None
        self._patient_until = 0.0
        self._responses: dict[int, Response] = {}
        # Connections that are at work; and of these, those that wait for an answer, for which there is nothing to do once it is stopped.
        self._active: set[int] = set()
        self._asking: set[int] = set()
        self._furthest = self._arrived.count
        self._shown = (time.monotonic(), self._arrived.count)

    # --- for readers ------------------------------------------------------------------------------------------------

    def wait(self, end: int) -> int:
        with self._lock:
            while self._arrived.front < end and not self._is_whole:
                self._go_on_waiting()
            return min(end, self._arrived.front)

    def wait_for_all(self) -> int:
        with self._lock:
            while not self._is_whole:
                self._go_on_waiting()
            return self.size or 0

    def wait_for_answer(self) -> Answer:
        """Waits for what the server says of the file. Raises Interrupted."""
        with self._lock:
            while not self._is_answered and not self._is_whole:
                self._go_on_waiting()
            return self.answer

    def want(self, start: int, end: int) -> bool:
        with self._lock:
            self._first = (start, end)
            self._lock.notify_all()
            while not self._is_whole and not self._arrived.has(start, end):
                alone = self._is_answered and len(self._active) < 2
                if self._gives_parts is False or alone:
                    return False
                self._go_on_waiting()
            return True

    def announced_size(self) -> int | None:
        if self._was_announced:
            return self.answer.size
        # Nothing else would show that an answer without a length has lost its end.
        said = self.session.ask()
        return said.size if said is not None else None

    def _go_on_waiting(self) -> None:
        if self._stopped is not None:
            raise Interrupted from self._stopped
        self._lock.wait()

    @property
    def is_whole(self) -> bool:
        return self._is_whole

    def report(self) -> str:
        """How far it is, and how fast since the last report."""
        with self._lock:
            now, count = time.monotonic(), self._arrived.count
        then, before = self._shown
        self._shown = (now, count)
        rate = max(0, count - before) / max(now - then, 0.001)
        line = megabytes(count) + (f" of {megabytes(self.size)}" if self.size else "") + f", {megabytes(rate)}/s"
        if self.size and rate > 0:
            line += f", {time_left((self.size - count) / rate)} left"
        return line

    # --- for whoever has it brought ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins, once there is room for a connection."""
        self._look_whether_whole()
        if self._is_whole:
            return
        self._check_size()
        self._require_room()
        self._slots.take_first()
        of = f" ({megabytes(self.size)})" if self.size else ""
        say(f"downloading {self._origin}{of}")
        self._begin(0)

    def stop(self) -> None:
        """Ends all that is under way, and waits for it, as nothing is to be written from then on. What has arrived stays."""
        with self._lock:
            self._stop(Interrupted())
            self.session.end()
            # One that looks for the server's address is not to be woken up.
            until = time.monotonic() + 1
            while self._active - self._asking or (self._active and time.monotonic() < until):
                self._lock.wait(0.1)
        self._slots.give_back()

    @property
    def problem(self) -> BaseException | None:
        """Why it was given up: Failure where the host is at fault, WrongSize, or another whose text says it."""
        return self._stopped

    def finish(self) -> str:
        """Gives the whole file the name of one. Returns it."""
        os.replace(self.path, self._files.file)
        remove(self._files.have)
        return self._files.file

    def discard(self) -> None:
        """Forgets what has arrived."""
        self._files.remove_part()

    def close(self) -> None:
        self.stop()
        self._arrived.close()
        if self._arrived.count == 0:
            self._files.remove_part()
        super().close()

    # --- connections ------------------------------------------------------------------------------------------------

    def _begin(self, number: int) -> None:
        self._active.add(number)
        threading.Thread(target=self._run, args=(number,), daemon=True).start()

    def _run(self, number: int) -> None:
        try:
            (self._bring_all if number == 0 else self._bring_parts)(number)
        except BaseException as error:  # Whoever waits for the file is told.
            with self._lock:
                self._stop(error)
        finally:
            with self._lock:
                self._active.discard(number)
                self._give_claim_back(number)
                if self._active and not self._is_whole:
                    # It was given up: other data sets may have its room.
                    self._slots.give_back(keep=len(self._active))

    def _bring_all(self, number: int) -> None:
        """The first connection: asks again as long as that gets further. Five tries that do not, or two that crawl, are the end."""
        tries = crawls = 0
        while True:
            begun_at = self._arrived.count
            began = time.monotonic()
            try:
                if not self._bring_claims(number):
                    return
                continue
            except GivenUp as failed:
                if failed.for_good:
                    raise
                gained = self._arrived.count - begun_at
                tries += 1
                if failed.slow and gained < self._limits.speed * max(time.monotonic() - began, 1):
                    crawls += 1
                elif self._arrived.count > self._furthest:
                    tries, crawls = 1, 0
                self._furthest = max(self._furthest, self._arrived.count)
                if tries >= _TRIES or crawls >= _CRAWLS:
                    raise
                say(f"no more after {megabytes(self._arrived.count)} ({failed}); trying again")
                self._pause(self._limits.retry_delay * tries)

    def _bring_parts(self, number: int) -> None:
        """A further connection: it is given up where it does not help."""
        tries = 0
        while tries < _TRIES:
            try:
                while self._bring_claims(number):
                    tries = 0
                return
            except GivenUp as failed:
                if failed.for_good:
                    with self._lock:
                        if self._gives_parts is None:
                            self._gives_parts = False
                    return
                tries += 1
                self._pause(self._limits.retry_delay * tries)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._lock:
            while self._stopped is None and not self._is_whole and time.monotonic() < until:
                self._lock.wait(until - time.monotonic())

    def _bring_claims(self, number: int) -> bool:
        """Makes a request for a claim, and goes on to those behind it. False where nothing is left to do."""
        claim = self._claim(number)
        if claim is None:
            return False
        try:
            self._bring(number, claim)
        except GivenUp:
            with self._lock:
                self._give_claim_back(number)
            raise
        return True

    def _bring(self, number: int, claim: tuple[int, int]) -> None:
        response = self._request(number, claim)
        is_at_end = False
        try:
            self._judge(number, claim[0], response)
            is_at_end = self._read(number, response)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS):
                raise self._cannot_write(error) from error
            slow = is_timeout(error)
            raise GivenUp(self._too_slow() if slow else why(error), slow=slow) from error
        finally:
            if not is_at_end:
                response.close()
                self._responses.pop(number, None)

    # --- who brings what --------------------------------------------------------------------------------------------

    def _claim(self, number: int) -> tuple[int, int] | None:
        """
        What a connection is to ask for: what is wanted before all others, else the first bytes that nobody has claimed, else half of what
        another one still has to bring. Waits where there is nothing now. The end is -1 where it is not known.
        """
        with self._lock:
            while self._stopped is None and not self._is_whole:
                # Or it would be kept from what it has claimed itself.
                self._claims.pop(number, None)
                claim = self._next(number)
                if claim is not None:
                    self._claims[number] = claim
                    return claim
                self._lock.wait()
            return None

    def _give_claim_back(self, number: int) -> None:
        """For others to take. With the lock."""
        self._claims.pop(number, None)
        self._lock.notify_all()

    def _next(self, number: int) -> tuple[int, int] | None:
        if number == 0 and not (self._gives_parts and self.size is not None):
            # What others have claimed they may not get.
            start = self._arrived.front
            return start, self._end_of_claim(start) if self.size is not None else -1
        if self.size is None or self._gives_parts is False:
            return None
        taken = self._arrived.all() + list(self._claims.values())
        for start, end in (self._first, (0, self.size)):
            gap = first_gap(taken, start, min(end, self.size))
            if gap is not None:
                return gap[0], min(gap[1], self._end_of_claim(gap[0]))
        return self._half_of_another()

    def _half_of_another(self) -> tuple[int, int] | None:
        rest: list[tuple[int, int, int]] = []
        for other, (start, end) in self._claims.items():
            gap = first_gap(self._arrived.all(), start, end)
            if gap is not None:
                rest.append((gap[1] - gap[0], other, gap[0]))
        if not rest:
            return None
        length, other, start = max(rest)
        if length < 2 * LEAST_CLAIM:
            return None
        middle = start + length // 2
        end = self._claims[other][1]
        self._claims[other] = (self._claims[other][0], middle)
        return middle, end

    def _end_of_claim(self, start: int) -> int:
        assert self.size is not None
        length = min(MOST_CLAIM, max(LEAST_CLAIM, self.size // (4 * MOST_OF_ONE)))
        return min(start + length, self.size)

    def _may_go_on(self, number: int, at: int, response: Response) -> bool:
        """Whether an answer that brings more than was claimed is read further, with the next claim."""
        with self._lock:
            while self._stopped is None and self.size is not None and at < min(self.size, response.end or self.size):
                taken = [claim for other, claim in self._claims.items() if other != number]
                gap = first_gap(self._arrived.all() + taken, at, self.size)
                if gap is not None and gap[0] == at:
                    self._claims[number] = (at, min(gap[1], self._end_of_claim(at)))
                    return True
                if number != 0 or self._gives_parts:
                    return False
                # Others have claimed what comes next, and may not get it.
                patience = self._patient_until - time.monotonic()
                if self._gives_parts is False or patience <= 0:
                    self._claims[0] = (at, self._end_of_claim(at))
                    return True
                self._lock.wait(patience)
            return False

    # --- one request ------------------------------------------------------------------------------------------------

    def _request(self, number: int, claim: tuple[int, int]) -> Response:
        start, end = claim
        # The first asks for all there is: it is not known yet whether there will be others.
        bounded = end if end >= 0 and (number != 0 or start > 0) else None
        with self._lock:
            reuse = self._responses.get(number)
            self._asking.add(number)
            self._lock.notify_all()
        response = None
        try:
            response = self.session.get(start, bounded, reuse)
        except Stalled as error:
            raise GivenUp(self._too_slow(), slow=True) from error
        except Unreachable as error:
            raise GivenUp(str(error), for_good=error.for_good) from error
        finally:
            with self._lock:
                self._asking.discard(number)
                self._responses.pop(number, None)
                if self._stopped is not None or self._is_whole:
                    if response is not None:
                        response.close()
                    raise Interrupted
                if response is not None:
                    self._responses[number] = response
        return response

    def _judge(self, number: int, start: int, response: Response) -> None:
        """Whether an answer brings what was asked for. Notes what it says."""
        status, answer = response.status, response.answer
        if status == 416 and number == 0 and start > 0:
            # Asked for what comes after the last byte: the file is complete, or it is another one. The hash tells.
            with self._lock:
                if not self._wanted.sha256 and self.size not in (None, start):
                    self._start_over()
                    raise GivenUp("the file has changed")
                self._end_at(start)
            return
        if status not in (200, 206):
            again = status in _WORTH_ANOTHER_TRY or status >= 500
            if number == 0 and self.session.was_led_on:
                # That was good for some minutes, perhaps: the whole way again.
                self.session.forget()
                again = True
            raise GivenUp(f"the server answers {status}", for_good=not again)
        if response.start not in (start, 0 if number == 0 else start):
            raise GivenUp("the server gives other parts of it than it is asked for", for_good=number != 0)
        with self._lock:
            if self._is_another(answer):
                if number != 0:
                    raise GivenUp("the server has another version of it", for_good=True)
                self._start_over()
                if response.start != 0:
                    raise GivenUp("the file has changed")
            elif response.start != start:
                # It cannot go on in the middle, and sends again what is there.
                self._gives_parts = False
                self._claims[0] = (0, -1)
            elif start > 0:
                self._gives_parts = True
            if not self._is_answered:
                self._take_answer(answer)
            if number == 0 and self.size is not None and self._claims[0][1] < 0:
                self._claims[0] = (response.start, self._end_of_claim(response.start))
            self._look_whether_whole()
            self._lock.notify_all()

    def _is_another(self, answer: Answer) -> bool:
        """Whether it is not the file of which there is something already."""
        if self._arrived.count == 0 and not self._is_answered:
            return False
        if answer.size is not None and self.size is not None and answer.size != self.size:
            return True
        # Copies of one file may have different versions on different servers; its hash tells.
        return not self._wanted.sha256 and answer.version != self.answer.version

    def _start_over(self) -> None:
        """What an earlier run has left is of another file. Raises Changed where it was this run: some of it has been read."""
        if self._is_answered:
            raise Changed
        self._arrived.clear()
        os.ftruncate(self.file, 0)
        self.size = None
        self.is_continued = False
        self._furthest = 0
        self._claims[0] = (0, -1)

    def _take_answer(self, answer: Answer) -> None:
        if answer.size is None and self._arrived.count > 0:
            answer.size = self.size
        self.answer = answer
        self.size = answer.size
        self._is_answered = True
        self._was_announced = self.size is not None
        self._check_size()
        self._require_room()
        self._files.note(self._url, answer)
        if self.size is None or self._gives_parts is False:
            return
        missing = self.size - self._arrived.count
        self._patient_until = time.monotonic() + _PARTS_PATIENCE
        for number in range(1, 1 + self._slots.take_more(missing // LEAST_CLAIM - 1)):
            self._begin(number)

    def _check_size(self) -> None:
        if self.size is not None and self._wanted.size is not None and self.size != self._wanted.size:
            raise WrongSize(self.size)

    # --- the bytes of an answer -------------------------------------------------------------------------------------

    def _read(self, number: int, response: Response) -> bool:
        """Writes what comes to the file, as far as it is claimed. True where the answer is at its end."""
        if self._is_whole:
            return False
        at = noted = response.start
        since, since_at = time.monotonic(), at
        try:
            while True:
                end = self._claims.get(number, (at, at))[1]
                if 0 <= end <= at:
                    if end == self.size or not self._may_go_on(number, at, response):
                        return response.is_at_end
                    continue
                data = response.read(_READ if end < 0 else min(_READ, end - at))
                if not data:
                    if self.size is None:
                        self._end_at(at)
                        return True
                    raise GivenUp("the connection ended too soon")
                if self._stopped is not None or self._is_whole:
                    return False
                self._write(data, at)
                with self._lock:
                    self._arrived.add(at, at + len(data))
                    at += len(data)
                    if at - noted >= _NOTED:
                        self._arrived.note(noted, at)
                        noted = at
                    self._look_whether_whole()
                    self._lock.notify_all()
                now = time.monotonic()
                if now - since >= self._limits.patience:
                    if at - since_at < self._limits.speed * (now - since):
                        raise GivenUp(self._too_slow(), slow=True)
                    since, since_at = now, at
        finally:
            if at > noted:
                with self._lock:
                    self._arrived.note(noted, at)

    def _write(self, data: bytes, at: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self.file, view, at)
            view = view[written:]
            at += written

    def _end_at(self, size: int) -> None:
        with self._lock:
            self.size = self.answer.size = size
            self._look_whether_whole()
            self._files.note(self._url, self.answer)
            self._lock.notify_all()

    def _look_whether_whole(self) -> None:
        if self.size is not None and self._arrived.has(0, self.size):
            self._is_whole = True

    def _stop(self, error: BaseException) -> None:
        """With the lock."""
        if self._stopped is None and not self._is_whole:
            self._stopped = error
        for response in list(self._responses.values()):
            response.close()
        self._lock.notify_all()

    def _too_slow(self) -> str:
        return f"less than {self._limits.speed} bytes a second for {self._limits.patience} seconds"

    # --- room on the disk -------------------------------------------------------------------------------------------

    def _require_room(self) -> None:
        """An archive holds at least as much as it takes itself, and both are there until it is removed."""
        if self.size is None:
            return
        missing = self.size - self._arrived.count
        needed, what = missing, "the download needs {}"
        if kind_by_name(self._wanted.name or self.answer.name or url_name(self._url)) in ("zip", "tar"):
            needed, what = missing + self.size, "the download needs {}, at least half of it to unpack,"
        shortage = shortage_of(needed, what.format(megabytes(needed)), self._root, self._state, self._origin)
        if shortage:
            raise Failure(1, *shortage)

    def _cannot_write(self, error: OSError) -> Failure:
        # As long as it is open its room is not free.
        os.ftruncate(self.file, 0)
        self._files.remove_part()
        try:
            self._arrived.clear()
            self._require_room()
        except Failure as failure:
            return failure
        return Failure(
            1,
            f"cannot write the download of {self._origin} to {self._state}: {error.strerror}",
            f"  {megabytes(free_bytes(self._state))} are free there; what takes the room:  du -xsh {quoted(self._root)}/*",
        )


def shortage_of(needed: int, what: str, root: str, state: str, origin: str) -> tuple[str, ...]:
    """Lines that say so where there are fewer bytes free than `needed`; `what` says for what."""
    free = free_bytes(state)
    if needed <= free:
        return ()
    return (
        f"{what} in {root}/data, and {megabytes(free)} are free ({origin})",
        f"  what takes the room:  du -xsh {quoted(root)}/*",
    )
