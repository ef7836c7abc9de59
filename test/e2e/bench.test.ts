/** What the measurements are made with, as far as it takes programs that only `npm test` and `npm run bench` install. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { makeDataset } from "../../bench/dataset.ts";
import { lacks, missingPrograms } from "../support/host-script.ts";

it.skipIf(lacks(missingPrograms("zip"), "the data set of the measurements"))(
  "the data set is the same every time, laid out like dogs vs cats",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "gpubox-bench-test-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));

    const first = await makeDataset(folder, 50);
    for (const { path } of [first.zip, first.tarGz]) rmSync(path);
    const second = await makeDataset(folder, 50);
    expect(second).toEqual(first);
    expect(readdirSync(folder).sort(), "only the archives stay").toEqual(["dogscats.tar.gz", "dogscats.zip"]);
    const folders = new Set(second.files.map(({ path }) => path.replace(/\/[^/]*$/, "")));
    expect([...folders].sort()).toEqual(
      ["train/cats", "train/dogs", "valid/cats", "valid/dogs"].map((name) => `dogscats/${name}`),
    );
    const content = second.files.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(second.zip.size / content, "it hardly compresses").toBeGreaterThan(0.97);
  },
);
