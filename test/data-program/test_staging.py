"""What of a staging folder becomes the data set."""

from __future__ import annotations

import os
import unittest

from archives import UnpackingCase, found_below
from gpubox_data import archive
from gpubox_data.staging import Folders


class TreeOf(UnpackingCase):
    def fill(self, *paths: str, links: dict[str, str] = {}) -> None:  # noqa: B006
        for path in paths:
            os.makedirs(os.path.dirname(f"{self.staging}/{path}"), exist_ok=True)
            if not path.endswith("/"):
                with open(f"{self.staging}/{path}", "w"):
                    pass
        for path, target in links.items():
            os.makedirs(os.path.dirname(f"{self.staging}/{path}"), exist_ok=True)
            os.symlink(target, f"{self.staging}/{path}")

    def tree(self, kind: str = "zip") -> archive.Tree:
        found = archive.tree_of(self.staging, kind)
        return found._replace(path=os.path.relpath(found.path, self.staging))

    def test_a_single_folder(self) -> None:
        self.fill("birds/train/1.jpg", "birds/valid/2.jpg", "birds/empty/")
        self.assertEqual(self.tree(), ("birds", 2))
        self.assertEqual(self.tree("plain"), (".", 2))

    def test_what_macos_and_windows_leave_beside_it(self) -> None:
        self.fill("birds/x", "._birds", ".DS_Store", "Thumbs.db", "thumbs.db", "Desktop.ini", "desktop.ini", "__MACOSX/birds/._x")
        self.assertEqual(self.tree(), ("birds", 1))

    def test_several(self) -> None:
        self.fill("birds/x", ".labels")
        self.assertEqual(self.tree(), (".", 2))
        os.remove(f"{self.staging}/.labels")
        self.fill("other/")
        self.assertEqual(self.tree(), (".", 1))

    def test_a_file_or_a_link_is_no_folder(self) -> None:
        self.fill("x")
        self.assertEqual(self.tree(), (".", 1))
        os.remove(f"{self.staging}/x")
        self.fill(links={"x": "y"})
        self.assertEqual(self.tree(), (".", 1))

    def test_a_name_with_a_backslash(self) -> None:
        self.fill("\\0056\\0056/x")
        self.assertEqual(self.tree(), ("\\0056\\0056", 1))

    def test_links(self) -> None:
        self.fill("top/x", links={"top/a/link": "../x", "top/nowhere": "y"})
        self.assertEqual(self.tree(), ("top", 3))
        for target in ("../top/x", "/etc", "a/../../x"):
            os.unlink(f"{self.staging}/top/nowhere")
            os.symlink(target, f"{self.staging}/top/nowhere")
            with self.assertRaises(archive.Unusable) as caught:
                self.tree()
            self.assertEqual(str(caught.exception), f"is refused: nowhere is a link that leads out of the folder, to {target}")

    def test_names_of_links(self) -> None:
        self.fill("top/x", links={"top/y\nl": "x"})
        with self.assertRaises(archive.Unusable) as caught:
            self.tree()
        self.assertIn("'y\\nl' has control characters", str(caught.exception))

    def test_its_own_record(self) -> None:
        self.fill("birds/x", "birds/.gpubox.json", "birds/deep/.gpubox.json")
        self.assertEqual(self.tree(), ("birds", 2))
        self.fill(links={"birds/.gpubox.json": "/etc"})
        self.assertEqual(self.tree(), ("birds", 2))
        self.fill("birds/.gpubox.json/a/b")
        self.assertEqual(self.tree(), ("birds", 2))


class InFolders(UnpackingCase):
    def setUp(self) -> None:
        super().setUp()
        os.mkdir(self.staging)
        self.folders = Folders(self.staging)
        self.addCleanup(self.folders.close)

    @unittest.skipUnless(os.path.isdir("/proc/self/fd"), "no /proc")
    def test_more_than_are_held(self) -> None:
        held = len(os.listdir("/proc/self/fd"))
        deep = b"/".join([b"d"] * 200)
        for path in (*(b"%d/%d/%d" % (n % 3, n % 50, n) for n in range(300)), deep):
            for _ in range(2):
                self.assertEqual(os.readlink(f"/proc/self/fd/{self.folders.at(path)}"), f"{self.staging}/{path.decode()}")
        self.assertLess(len(os.listdir("/proc/self/fd")), held + 60)

    def test_no_link_is_followed(self) -> None:
        os.mkdir(f"{self.folder}/elsewhere")
        os.symlink(f"{self.folder}/elsewhere", f"{self.staging}/a")
        for path in (b"a", b"a/b", b"a/b/c"):
            with self.assertRaises(OSError):
                self.folders.at(path)
        with self.assertRaises(OSError):
            self.folders.create(b"a/x", False)
        os.symlink(f"{self.folder}/elsewhere/x", f"{self.staging}/x")
        with self.assertRaises(FileExistsError):
            self.folders.create(b"x", False)
        self.assertEqual(found_below(f"{self.folder}/elsewhere"), {})

    def test_none_is_made_where_it_is_only_looked_for(self) -> None:
        with self.assertRaises(FileNotFoundError):
            self.folders.at(b"a/b", make=False)
        self.assertEqual(os.listdir(self.staging), [])


if __name__ == "__main__":
    unittest.main()
