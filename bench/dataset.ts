/** A data set like dogs vs cats, the same bytes every time: 25,000 pictures that hardly compress, in a zip and in a tar.gz. */
import { createCipheriv, createHash } from "node:crypto";
import { createReadStream, mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { execa } from "execa";

/** Files at full scale, as many as dogs vs cats has. */
export const FULL_SCALE = 25_000;

/** One file of the data set. */
export interface DatasetFile {
  path: string;
  bytes: number;
}

/** An archive of a data set. */
export interface Archive {
  path: string;
  sha256: string;
  /** In bytes. */
  size: number;
}

/** A data set, packed in two ways. */
export interface Dataset {
  zip: Archive;
  tarGz: Archive;
  files: DatasetFile[];
}

/** Name of the folder at the top of the archive. */
export const TOP = "dogscats";

/** Of a file: 29.9 KB on average, from 6 to 54. */
const SIZE = { least: 6_000, most: 53_800 };

/** A small generator of numbers below 1, with a fixed seed (mulberry32). */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    yield ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** The files, in the folders of dogs vs cats: 23 of 25 for training, half of them cats. */
export function listFiles(count: number): DatasetFile[] {
  const random = numbers(1);
  return Array.from({ length: count }, (_, index) => {
    const animal = index % 2 === 0 ? "cat" : "dog";
    const use = index % 25 < 23 ? "train" : "valid";
    return {
      path: join(TOP, use, `${animal}s`, `${animal}.${index}.jpg`),
      bytes: Math.round(SIZE.least + random.next().value * (SIZE.most - SIZE.least)),
    };
  });
}

/** Writes files below a folder, one after the other, each with bytes that `content` gives: the least that unpacking can cost. */
export function writeFiles(
  folder: string,
  files: DatasetFile[],
  content: (bytes: number) => Uint8Array,
): void {
  for (const parent of new Set(files.map(({ path }) => dirname(path)))) {
    mkdirSync(join(folder, parent), { recursive: true });
  }
  for (const { path, bytes } of files) writeFileSync(join(folder, path), content(bytes));
}

/** What a camera writes before the picture compresses well, and the picture itself does not. */
function pictures(): (bytes: number) => Uint8Array {
  const noise = createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16));
  const header = Buffer.alloc(600, "Exif");
  const zeros = Buffer.alloc(SIZE.most);
  return (bytes) => Buffer.concat([header, noise.update(zeros.subarray(0, bytes - header.length))]);
}

/** Makes the data set's archives in a folder. Needs `zip`, `tar` and `gzip`. */
export async function makeDataset(folder: string, count: number): Promise<Dataset> {
  const files = listFiles(count);
  writeFiles(folder, files, pictures());
  // Times and order are part of an archive.
  for (const { path } of files) utimesSync(join(folder, path), 1_500_000_000, 1_500_000_000);
  const options = { cwd: folder, env: { TZ: "UTC" }, input: files.map(({ path }) => path).join("\n") };
  const zip = join(folder, `${TOP}.zip`);
  await execa("zip", ["-q", "-X", "-1", "-@", zip], options);
  const tarGz = join(folder, `${TOP}.tar.gz`);
  const owner = ["--owner=0", "--group=0", "--numeric-owner"];
  await execa("tar", [...owner, "-I", "gzip -1 -n", "-T", "-", "-cf", tarGz], options);
  rmSync(join(folder, TOP), { recursive: true });
  return { zip: await describe(zip), tarGz: await describe(tarGz), files };
}

async function describe(path: string): Promise<Archive> {
  return { path, sha256: await hashFile(path), size: statSync(path).size };
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest("hex");
}
