/**
 * Measurements 1 to 5: a data set on the host. `dataset.sh` runs as on any host, as text on standard input; the files lie in
 * memory, and the server is on the loopback, as slow as a real one.
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { execa } from "execa";
import { startScript } from "../test/support/host-script.ts";
import type { Bench } from "./bench.ts";
import { type Dataset, FULL_SCALE, makeDataset, TOP, writeFiles } from "./dataset.ts";
import { compare, median, type Row, readings, seconds } from "./harness.ts";
import { formatValue } from "./report.ts";
import { type FileServer, serveFile } from "./server.ts";

const MB = 1_000_000;

/** Bytes per second: a busy web server gives one connection no more. */
const RATE = 20 * MB;

/** Runs those of the measurements 1 to 5 that were asked for. */
export async function measureData(bench: Bench, wanted: ReadonlySet<number>): Promise<Row[]> {
  bench.say("making the data set");
  const source = join(bench.folder, "source");
  mkdirSync(source);
  const dataset = await makeDataset(source, Math.max(100, Math.round(FULL_SCALE * bench.scale)));
  bench.say(
    `${dataset.files.length} files in ${(dataset.size / MB).toFixed(1)} MB, sha256 ${dataset.sha256}`,
  );
  const server = await serveFile(dataset.archive);
  const host = new Host(bench.folder, dataset, server);
  try {
    return [
      ...(wanted.has(1) || wanted.has(2) ? await download(bench, host, wanted) : []),
      ...(wanted.has(3) ? await unpack(bench, host) : []),
      ...(wanted.has(4) ? await rerun(bench, host) : []),
      ...(wanted.has(5) ? await resume(bench, host) : []),
    ];
  } finally {
    await server.close();
    rmSync(source, { recursive: true });
  }
}

/** A host without the data set, again and again, and the two ways to put it there. */
class Host {
  readonly dataset: Dataset;
  readonly server: FileServer;
  readonly #root: string;

  constructor(folder: string, dataset: Dataset, server: FileServer) {
    this.#root = join(folder, "host");
    this.dataset = dataset;
    this.server = server;
  }

  /** Forgets everything that is on the host. */
  clear(): void {
    rmSync(this.#root, { recursive: true, force: true });
    mkdirSync(join(this.#root, "data"), { recursive: true });
  }

  /** gpubox's way. @returns when the unpacking began, as a time of `performance.now()` */
  async script(url = this.server.url): Promise<number> {
    const running = startScript("dataset.sh", {
      ROOT: this.#root,
      URLS: url,
      SHA256: this.dataset.sha256,
      FOLDER: TOP,
    });
    const unpacking = running.said(/unpacking \d+ files/).then(() => performance.now());
    const { code, stderr } = await running.result;
    if (code !== 0) throw new Error(`dataset.sh ended with ${code}:\n${stderr}`);
    return await unpacking;
  }

  /** The plain way: `wget; unzip`. */
  async byHand(): Promise<void> {
    await this.#shell(`wget -q ${this.server.url}; unzip -q ${TOP}.zip`);
  }

  async unzip(): Promise<void> {
    await this.#shell(`unzip -q ${this.dataset.archive}`);
  }

  async hash(): Promise<void> {
    await this.#shell(`sha256sum ${this.dataset.archive}`);
  }

  /** As many files of the same sizes, by a program that has their bytes in memory. @returns seconds */
  async write(): Promise<number> {
    const bytes = await readFile(this.dataset.archive);
    let at = 0;
    const next = (length: number) => {
      if (at + length > bytes.length) at = 0;
      at += length;
      return bytes.subarray(at - length, at);
    };
    return await seconds(async () => writeFiles(join(this.#root, "data"), this.dataset.files, next));
  }

  /** @throws Error unless every file is there */
  expectFiles(): void {
    const found = readdirSync(join(this.#root, "data", TOP), { recursive: true, withFileTypes: true });
    const pictures = found.filter((entry) => entry.isFile() && entry.name.endsWith(".jpg")).length;
    if (pictures === this.dataset.files.length) return;
    throw new Error(`${pictures} of ${this.dataset.files.length} files were unpacked`);
  }

  async #shell(command: string): Promise<void> {
    await execa("sh", ["-ec", command], { cwd: join(this.#root, "data") });
  }
}

/** Measures something on a host without the data set, and checks that it is there afterwards. */
async function fresh<T>(host: Host, action: () => Promise<T>): Promise<T> {
  host.clear();
  const measured = await action();
  host.expectFiles();
  return measured;
}

/** The links that a download is measured over. */
const LINKS = [
  { measurement: 1, what: "data, 20 MB/s a connection", shared: false, aim: 0.2 },
  { measurement: 2, what: "data, 20 MB/s for all", shared: true, aim: 0.85 },
];

async function download(bench: Bench, host: Host, wanted: ReadonlySet<number>): Promise<Row[]> {
  const links = LINKS.filter(({ measurement }) => wanted.has(measurement));
  const over = (shared: boolean, action: () => Promise<unknown>) => () => {
    host.server.setCap({ rate: RATE, shared });
    return fresh(host, () => seconds(action));
  };
  const rounds = await bench.rounds("download", {
    ...Object.fromEntries(links.map(({ what, shared }) => [what, over(shared, () => host.script())])),
    // One connection: it makes no difference to wget whether others would share its link.
    "wget; unzip": over(false, () => host.byHand()),
  });
  host.server.setCap(undefined);
  return links.map(({ measurement, what, shared, aim }) => ({
    measurement,
    what,
    against: "wget; unzip",
    unit: "s",
    aim,
    ...compare(rounds, what, "wget; unzip"),
    ...(shared ? { note: `the link alone takes ${formatValue(host.dataset.size / RATE, "s")}` } : {}),
  }));
}

async function unpack(bench: Bench, host: Host): Promise<Row[]> {
  const script = async () => {
    const started = performance.now();
    const began = await host.script(pathToFileURL(host.dataset.archive).href);
    const ended = performance.now();
    return { unpacking: (ended - began) / 1000, whole: (ended - started) / 1000 };
  };
  const rounds = await bench.rounds("unpacking", {
    script: () => fresh(host, script),
    "unzip -q": () => fresh(host, () => seconds(() => host.unzip())),
    "writing the files": () => fresh(host, () => host.write()),
  });
  const row = { measurement: 3, unit: "s" as const };
  const whole = median(readings(rounds, "script whole"));
  return [
    {
      ...row,
      what: "unpacking",
      against: "unzip -q",
      aim: 0.6,
      ...compare(rounds, "script unpacking", "unzip -q"),
      note: `the whole script, from a file: url, hash and checks included: ${formatValue(whole, "s")}`,
    },
    {
      ...row,
      what: "unpacking",
      against: "writing the files",
      ...compare(rounds, "script unpacking", "writing the files"),
    },
  ];
}

async function rerun(bench: Bench, host: Host): Promise<Row[]> {
  host.clear();
  await host.script();
  host.server.reset();
  const rounds = await bench.rounds("rerun", {
    script: () => seconds(() => host.script()),
    sha256sum: () => seconds(() => host.hash()),
  });
  const { bytes, requests } = host.server;
  return [
    {
      measurement: 4,
      what: "rerun, everything there",
      against: "sha256sum",
      unit: "s",
      aim: 0.05,
      ...compare(rounds, "script", "sha256sum"),
      counters: { [`${bytes} bytes served`]: bytes === 0, [`${requests} requests`]: requests === 0 },
    },
  ];
}

async function resume(bench: Bench, host: Host): Promise<Row[]> {
  // So that little is on its way when the connections break, as on a real link.
  host.server.setCap({ rate: RATE, shared: false });
  const served = async () => {
    host.server.reset(host.dataset.size / 2);
    await fresh(host, () => host.script());
    // The last bytes are counted once the client has taken them.
    await sleep(50);
    const { bytes, requests } = host.server;
    return { bytes, requests };
  };
  const archive = async () => host.dataset.size;
  const rounds = await bench.rounds("cut at half", { served, archive }, { counted: true });
  host.server.setCap(undefined);
  return [
    {
      measurement: 5,
      what: "bytes served, cut at half",
      against: "the archive",
      unit: "bytes",
      aim: 1.02,
      ...compare(rounds, "served bytes", "archive"),
      note: `${median(readings(rounds, "served requests"))} requests`,
    },
  ];
}
