from __future__ import annotations

import random
import unittest

from gpubox_data.arrived import Arrived, first_gap
from scratch import Scratch


class ArrivedTest(Scratch):
    def setUp(self) -> None:
        super().setUp()
        self.path = str(self.folder / "have")
        self.arrived = Arrived(self.path)
        self.addCleanup(self.arrived.close)

    def again(self, limit: int) -> Arrived:
        """What the next run makes of it."""
        arrived = Arrived.read(self.path, limit)
        self.addCleanup(arrived.close)
        return arrived

    def test_it_knows_every_byte_whatever_order_they_come_in(self) -> None:
        numbers = random.Random(17)
        for _ in range(200):
            arrived = Arrived(self.path)
            there: set[int] = set()
            for _ in range(numbers.randrange(1, 30)):
                start = numbers.randrange(100)
                end = start + numbers.randrange(1, 20)
                arrived.add(start, end)
                there.update(range(start, end))
                self.assertEqual(arrived.count, len(there))
                self.assertEqual(arrived.front, next(at for at in range(200) if at not in there))
            ranges = arrived.all()
            self.assertEqual({at for start, end in ranges for at in range(start, end)}, there)
            self.assertTrue(all(ranges[at][1] < ranges[at + 1][0] for at in range(len(ranges) - 1)), ranges)
            for at in range(120):
                self.assertEqual(arrived.has(at, at + 1), at in there)
                self.assertEqual(arrived.has(at, at + 3), {at, at + 1, at + 2} <= there)
            arrived.close()

    def test_the_next_run_has_what_was_noted(self) -> None:
        for start, end in ((0, 10), (20, 30), (10, 15)):
            self.arrived.add(start, end)
            self.arrived.note(start, end)
        self.assertEqual(self.again(limit=30).all(), [(0, 15), (20, 30)])
        # And the one after that, whose record is the first one's.
        self.assertEqual(self.again(limit=30).all(), [(0, 15), (20, 30)])

    def test_nothing_is_there_beyond_the_end_of_the_file(self) -> None:
        self.arrived.note(0, 10)
        self.arrived.note(20, 30)
        self.assertEqual(self.again(limit=25).all(), [(0, 10)])

    def test_a_record_that_was_cut_off_counts_up_to_there(self) -> None:
        for text, expected in (
            ("0 10\n20 3", [(0, 10)]),
            ("0 10\nx y\n\n30 20\n-1 5\n12 13\n", [(0, 10), (12, 13)]),
            ("", []),
        ):
            with open(self.path, "w", encoding="ascii") as file:
                file.write(text)
            self.assertEqual(self.again(limit=100).all(), expected, text)

    def test_without_a_record_all_is_from_the_front(self) -> None:
        import os

        os.unlink(self.path)
        self.assertEqual(self.again(limit=7).all(), [(0, 7)])

    def test_it_forgets_everything(self) -> None:
        self.arrived.add(0, 10)
        self.arrived.note(0, 10)
        self.arrived.clear()
        self.assertEqual((self.arrived.count, self.arrived.front, self.arrived.all()), (0, 0, []))
        self.assertEqual(self.again(limit=10).all(), [])


class FirstGap(unittest.TestCase):
    def test_it_is_what_nobody_has(self) -> None:
        taken = [(20, 30), (0, 10), (5, 12)]
        self.assertEqual(first_gap(taken, 0, 100), (12, 20))
        self.assertEqual(first_gap(taken, 15, 18), (15, 18))
        self.assertEqual(first_gap(taken, 20, 30), None)
        self.assertEqual(first_gap(taken, 25, 100), (30, 100))
        self.assertEqual(first_gap([], 3, 3), None)
        self.assertEqual(first_gap([(50, 60)], 0, 10), (0, 10))
