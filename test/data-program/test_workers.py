"""Processes that write files: how they end, and what becomes of what they were asked."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import unittest
from unittest import mock

from archives import Entry, Trickle, UnpackingCase, zip_of
from gpubox_data import archive, unpack_zip, workers, zips
from gpubox_data.say import Failure
from gpubox_data.source import Source


def is_there(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def processes_of(group: archive.Workers) -> list[int]:
    return [worker.process for worker in group._workers]


@unittest.skipUnless(os.path.isdir("/proc/self/fd"), "no /proc")
class Ends(UnpackingCase):
    ENTRIES = tuple(Entry(b"%d" % n, b"%d" % n * 1000) for n in range(3000))

    def test_a_worker_that_is_killed(self) -> None:
        data = zip_of(*self.ENTRIES, Entry(b"large", os.urandom(9_000_000)))
        os.kill(processes_of(self.workers)[0], signal.SIGKILL)
        with self.assertRaises(Failure) as caught:
            self.unpack("zip", data)
        self.assertEqual(caught.exception.lines[0], "one of the processes that unpack was ended: Killed")
        # The other one is well, and is not waited for in vain.
        started = time.monotonic()
        self.workers.close()
        self.assertLess(time.monotonic() - started, 5)

    def test_a_worker_that_is_killed_in_the_middle(self) -> None:
        group = self.workers

        class Killing(Trickle):
            def wait(self, end: int) -> int:
                if end > 1_500_000:
                    os.kill(processes_of(group)[0], signal.SIGKILL)
                    time.sleep(0.05)
                return super().wait(end)

        source = Killing(self.write(zip_of(Entry(b"large", os.urandom(9_000_000)), *self.ENTRIES)))
        with self.assertRaises(Failure):
            self.unpack("zip", b"", source)

    def test_an_interrupt_is_for_the_parent(self) -> None:
        self.unpack("zip", zip_of(Entry(b"a", b"x")))
        for process in processes_of(self.workers):
            os.kill(process, signal.SIGINT)
        self.assertEqual(self.unpack("zip", zip_of(Entry(b"a", b"x"))), {"a": b"x"})

    def test_a_large_one_is_given_up_in_the_middle(self) -> None:
        """All of it is there, and its worker is asked for nothing more."""
        os.mkdir(self.staging)
        entry = Entry(b"large", bytes(5_000_000), 8)
        data = zip_of(entry)
        desk = mock.Mock()
        desk.next.return_value = ("more", len(data))
        desk.look.side_effect = [None, None, workers.Abandoned]
        writer = unpack_zip.Writer(desk)
        writer.work(("open", self.write(data), self.staging, 0))
        with self.assertRaises(workers.Abandoned):
            writer.work(("large", 0, len(data), next(zips.Directory(Source(self.file)).in_order())[0]))
        self.assertLess(os.stat(f"{self.staging}/large").st_size, 1_000_000)
        writer.work(("close",))

    def test_they_end_with_the_group(self) -> None:
        with archive.Workers(3) as group:
            processes = processes_of(group)
            self.assertEqual([is_there(each) for each in processes], [True] * 3)
        self.assertEqual([is_there(each) for each in processes], [False] * 3)

    def test_as_many_as_there_are_cores(self) -> None:
        with archive.Workers() as group:
            self.assertEqual(len(processes_of(group)), min(len(os.sched_getaffinity(0)), 16))

    def test_several_archives_with_faults_between(self) -> None:
        for _ in range(10):
            self.assert_unusable("zip", zip_of(*self.ENTRIES[:200], Entry(b"bad", b"x", checksum=1), *self.ENTRIES[200:]), "bad: ")
            self.assertEqual(len(self.unpack("zip", zip_of(*self.ENTRIES[:300]))), 300)

    def test_no_descriptor_is_left(self) -> None:
        self.unpack("zip", zip_of(Entry(b"a", b"x")))
        before = os.listdir("/proc/self/fd")
        inside = [os.listdir(f"/proc/{each}/fd") for each in processes_of(self.workers)]
        for _ in range(3):
            self.unpack("zip", zip_of(*(Entry(b"%d/x" % n, b"x") for n in range(500))))
            self.assert_unusable("zip", zip_of(Entry(b"bad", b"x", checksum=1)), "bad: ")
            self.assert_unusable("tar", b"x", "is not a tar")
        self.unpack("zip", zip_of(Entry(b"a", b"x")))
        after = os.listdir("/proc/self/fd")
        # Of the sources, which are the test's.
        self.assertLessEqual(len(after), len(before) + 10)
        self.assertEqual([os.listdir(f"/proc/{each}/fd") for each in processes_of(self.workers)], inside)


@unittest.skipUnless(os.path.isdir("/proc/self/fd"), "no /proc")
class ParentEnds(UnpackingCase):
    PROGRAM = textwrap.dedent(
        """
        import os, sys, time
        from gpubox_data import archive
        from gpubox_data.source import Source

        class Slow(Source):
            def wait(self, end):
                if end > int(sys.argv[3]):
                    print("waiting", flush=True)
                    time.sleep(60)
                return super().wait(end)

        with archive.Workers(2) as group:
            print(*(each.process for each in group._workers), flush=True)
            archive.unpack("zip", Slow(sys.argv[1]), sys.argv[2], group, archive.Progress(), say_size=print)
        """
    )

    def end_by(self, number: int, until: int, data: bytes, stopped: int | None = None) -> None:
        """Ends the parent by a signal; `stopped` is the worker that cannot end then."""
        run = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM, self.write(data), self.staging, str(until)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(workers.__file__))},
            text=True,
        )
        assert run.stdout is not None
        processes = list(map(int, run.stdout.readline().split()))
        self.assertEqual(len(processes), 2)
        for line in run.stdout:
            if line == "waiting\n":
                break
        if stopped is not None:
            process = processes.pop(stopped)
            self.addCleanup(os.kill, process, signal.SIGKILL)
            os.kill(process, signal.SIGSTOP)
        os.kill(run.pid, number)
        run.wait(10)
        if stopped is not None:
            run.stdout.close()
            self.assert_end(processes)
            return
        # They held its output open as long as they were there.
        self.assertEqual(run.stdout.read(), "")
        run.stdout.close()
        self.assert_end(processes)

    def assert_end(self, processes: list[int]) -> None:
        for _ in range(100):
            if not any(map(is_there, processes)):
                return
            time.sleep(0.05)
        self.fail("the workers are still there")

    def test_while_they_wait(self) -> None:
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            self.end_by(number, 0, zip_of(Entry(b"a", b"x")))
            shutil.rmtree(self.staging)

    def test_one_of_them_is_stuck(self) -> None:
        self.end_by(signal.SIGKILL, 0, zip_of(Entry(b"a", b"x")), stopped=1)

    def test_while_they_write(self) -> None:
        data = zip_of(*(Entry(b"%d" % n, b"x" * 5000) for n in range(2000)))
        self.end_by(signal.SIGKILL, 3_000_000, data)

    def test_in_the_middle_of_a_large_one(self) -> None:
        self.end_by(signal.SIGKILL, 5_000_000, zip_of(Entry(b"large", os.urandom(9_000_000))))


if __name__ == "__main__":
    unittest.main()
