"""
Processes that write files, started before the first thread, as what a thread holds at that moment is held in a fork for ever.

They are asked, and answer, by pipes. What is asked may wait in the pipe of its worker; answers are short. A worker whose parent is gone
reads the end of its pipe, and ends.
"""

from __future__ import annotations

import gc
import marshal
import os
import select
import signal
from collections import deque
from typing import Any

from .say import Failure

# More only share the disk.
_MOST = 16
# Of jobs that a worker has at a time: one waits while it works.
_WAITING = 2
_BLOCK = 1 << 16
# What it is about, and what belongs to it.
Message = tuple[Any, ...]


class Progress:
    """
    How far an unpacking is, for whoever looks on from another thread.

    files, bytes: written so far. total_files, total_bytes: 0 as long as they are not known. read: bytes of the archive that have been
    used up, from its front.
    """

    def __init__(self) -> None:
        self.files = 0
        self.bytes = 0
        self.total_files = 0
        self.total_bytes = 0
        self.read = 0


class Fault(Exception):
    """A worker could not do a job. path: of the entry; number: of the system's error, or 0; why: else."""

    def __init__(self, path: bytes, number: int, why: str) -> None:
        super().__init__(why)
        self.path = path
        self.number = number
        self.why = why


class Abandoned(Exception):
    """In a worker: what it does is wanted no longer."""


class _Pipe:
    """Messages out of a pipe: their length in four bytes, and they."""

    def __init__(self, file: int) -> None:
        self.file = file
        self._bytes = b""
        self._poll = select.poll()
        self._poll.register(file, select.POLLIN)

    def ready(self) -> bool:
        """Whether there is something to read, or the end."""
        return bool(self._poll.poll(0))

    def read(self) -> list[Message] | None:
        """Waits for something, and gives the messages that are whole with it. None at the end."""
        block = os.read(self.file, _BLOCK)
        if not block:
            return None
        data = self._bytes + block
        found: list[Message] = []
        at = 0
        while len(data) - at >= 4:
            end = at + 4 + int.from_bytes(data[at : at + 4], "little")
            if end > len(data):
                break
            found.append(marshal.loads(data[at + 4 : end]))
            at = end
        self._bytes = data[at:]
        return found


def _send(file: int, message: Message) -> None:
    content = marshal.dumps(message)
    data = len(content).to_bytes(4, "little") + content
    while data:
        data = data[os.write(file, data) :]


# --- in a worker ------------------------------------------------------------------------------------------------------


class Desk:
    """Where a worker finds what it is asked, and answers. What is asked after a piece of work was abandoned is another one."""

    def __init__(self, asked: int, answers: int) -> None:
        self._asked = _Pipe(asked)
        self._answers = answers
        self._waiting: deque[Message] = deque()

    def next(self) -> Message:
        """The next message, once there is one. Ends the process with its parent. Raises Abandoned."""
        while not self._waiting:
            self._fetch()
        return self._waiting.popleft()

    def look(self) -> None:
        """In the middle of a long job: ends the process with its parent, and raises Abandoned."""
        while self._asked.ready():
            self._fetch()

    def _fetch(self) -> None:
        found = self._asked.read()
        if found is None:
            os._exit(0)
        self._waiting.extend(found)
        # Nothing is asked after it before it is answered.
        if found and found[-1][0] == "abandon":
            self._waiting.clear()
            raise Abandoned

    def answer(self, *message: Any) -> None:
        _send(self._answers, message)


def _serve(desk: Desk) -> None:
    from .unpack_zip import Writer

    writer = Writer(desk)
    while True:
        try:
            message = desk.next()
            # What is left of a job that failed.
            if message[0] != "more":
                desk.answer("done", *writer.work(message))
        except Abandoned:
            desk.answer("abandoned")
        except Fault as fault:
            desk.answer("fault", fault.path, fault.number, fault.why)


# --- in the parent ----------------------------------------------------------------------------------------------------


class _Worker:
    """A worker, as its parent sees it. jobs: that it has not answered yet."""

    def __init__(self, others: list[_Worker]) -> None:
        asked, self.ask = os.pipe()
        answers, answer = os.pipe()
        self.answers = _Pipe(answers)
        self.jobs = 0
        self._status: int | None = None
        parent = os.getpid()
        self.process = os.fork()
        if self.process == 0:
            try:
                # Only the parent may hold these, or they would not end with it.
                for file in (self.ask, answers, *(end for other in others for end in (other.ask, other.answers.file))):
                    os.close(file)
                # A keyboard's interrupt is for all processes; it is the parent that ends.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                if os.getppid() == parent:
                    _serve(Desk(asked, answer))
            finally:
                os._exit(1)
        os.close(asked)
        os.close(answer)

    def wait(self) -> int:
        """Waits for its end, and gives its status."""
        if self._status is None:
            self._status = os.waitpid(self.process, 0)[1]
        return self._status

    def send(self, message: Message) -> None:
        try:
            _send(self.ask, message)
        except BrokenPipeError:
            # How it ended shows where its answer is missing.
            pass


class Workers:
    """
    `with Workers() as workers:` has processes ready, as many as this one may use cores (16 at most). They end with it, however it ends.
    A lock that it has by then is theirs as well.
    """

    def __init__(self, count: int | None = None) -> None:
        # What a worker takes is there once, and not once for each.
        from . import unpack_zip  # noqa: F401

        gc.freeze()
        self.progress = Progress()
        self._workers: list[_Worker] = []
        self._poll = select.poll()
        for _ in range(count or min(_cores(), _MOST)):
            worker = _Worker(self._workers)
            self._workers.append(worker)
            self._poll.register(worker.answers.file, select.POLLIN)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends them, and waits for that."""
        for worker in self._workers:
            os.close(worker.ask)
        for worker in self._workers:
            os.close(worker.answers.file)
            worker.wait()
        self._workers.clear()

    def ask_all(self, *message: Any) -> None:
        """Asks all of them the same, and waits for their answers."""
        for worker in self._workers:
            self._ask(worker, message)
        self.finish()

    def ask(self, *message: Any) -> _Worker:
        """Asks the one that has the least to do, once it has room for it. Raises Fault of any job, and Failure."""
        self._collect(wait=False)
        while True:
            worker = min(self._workers, key=lambda each: each.jobs)
            if worker.jobs < _WAITING:
                break
            self._collect()
        self._ask(worker, message)
        return worker

    def add(self, worker: _Worker, *message: Any) -> None:
        """Says something more about a job. Raises Fault of any, and Failure."""
        self._collect(wait=False)
        worker.send(message)

    def finish(self) -> None:
        """Waits until all is done. Raises Fault of any job, and Failure."""
        while any(worker.jobs for worker in self._workers):
            self._collect()

    def abandon(self) -> None:
        """Has all jobs given up, and waits for that."""
        for worker in self._workers:
            worker.send(("abandon",))
        for worker in self._workers:
            worker.jobs = 0
            while True:
                found = worker.answers.read()
                # One that is gone has nothing to give up.
                if found is None or ("abandoned",) in found:
                    break

    @staticmethod
    def _ask(worker: _Worker, message: Message) -> None:
        worker.jobs += 1
        worker.send(message)

    def _collect(self, wait: bool = True) -> None:
        ready = {file for file, _ in self._poll.poll(None if wait else 0)}
        for worker in self._workers:
            if worker.answers.file in ready:
                found = worker.answers.read()
                if found is None:
                    raise _ended(worker)
                for answer in found:
                    self._take(worker, answer)

    def _take(self, worker: _Worker, answer: Message) -> None:
        if answer[0] == "fault":
            worker.jobs -= 1
            raise Fault(*answer[1:])
        if answer[0] == "done":
            worker.jobs -= 1
        self.progress.files += answer[1]
        self.progress.bytes += answer[2]


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        # macOS does not say which of them this process may use.
        return os.cpu_count() or 1


def _ended(worker: _Worker) -> Failure:
    """What a worker that is gone comes to."""
    status = worker.wait()
    by = signal.strsignal(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else "an error in gpubox itself"
    return Failure(
        1,
        f"one of the processes that unpack was ended: {by}",
        "  the kernel does so where memory is short; run again once there is more",
    )
