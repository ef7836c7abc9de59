/**
 * Measurements 1 to 5: a data set on the host. The data program runs as on any host, as text on standard input; the files lie in
 * memory, and the servers are on the loopback, as slow as real ones.
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { execa } from "execa";
import { type RunningScript, startScript } from "../test/support/host-script.ts";
import type { Bench } from "./bench.ts";
import { type Dataset, FULL_SCALE, makeDataset, TOP, writeFiles } from "./dataset.ts";
import { compare, median, type Row, readings, seconds } from "./harness.ts";
import { watchMemory } from "./memory.ts";
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
  const { zip, files } = dataset;
  bench.say(`${files.length} files in ${(zip.size / MB).toFixed(1)} MB, sha256 ${zip.sha256}`);
  const host = new Host(bench.folder, dataset, {
    zip: await serveFile(zip.path),
    tarGz: await serveFile(dataset.tarGz.path),
  });
  try {
    return [
      ...(wanted.has(1) || wanted.has(2) ? await download(bench, host, wanted) : []),
      ...(wanted.has(3) ? await unpack(bench, host) : []),
      ...(wanted.has(4) ? await rerun(bench, host) : []),
      ...(wanted.has(5) ? await resume(bench, host) : []),
      ...(wanted.has(5) ? await memory(bench, host) : []),
    ];
  } finally {
    await Promise.all([host.servers.zip.close(), host.servers.tarGz.close()]);
    rmSync(source, { recursive: true });
  }
}

/** How the data set is packed. */
type Packed = "zip" | "tarGz";

/** A host without the data set, again and again, and the ways to put it there. */
class Host {
  readonly dataset: Dataset;
  readonly servers: Record<Packed, FileServer>;
  readonly #root: string;

  constructor(folder: string, dataset: Dataset, servers: Record<Packed, FileServer>) {
    this.#root = join(folder, "host");
    this.dataset = dataset;
    this.servers = servers;
  }

  /** Forgets everything that is on the host. */
  clear(): void {
    rmSync(this.#root, { recursive: true, force: true });
    mkdirSync(join(this.#root, "data"), { recursive: true });
  }

  /** gpubox's way. */
  async script(packed: Packed = "zip", url = this.servers[packed].url): Promise<void> {
    const { code, stderr } = await this.start(packed, url).result;
    if (code !== 0) throw new Error(`the data program ended with ${code}:\n${stderr}`);
  }

  start(packed: Packed, url: string): RunningScript {
    return startScript("gpubox_data/dataset.py", {
      ROOT: this.#root,
      URLS: url,
      SHA256: this.dataset[packed].sha256,
      FOLDER: TOP,
    });
  }

  /** The plain way. */
  async byHand(): Promise<void> {
    await this.#shell(`wget -q ${this.servers.zip.url}; unzip -q ${TOP}.zip`);
  }

  /** The best that a person could type. */
  async bySpecialists(): Promise<void> {
    const { url } = this.servers.zip;
    const check = `echo "${this.dataset.zip.sha256}  ${TOP}.zip" | sha256sum --quiet -c`;
    await this.#shell(`aria2c -q -x8 -s8 ${url} && ${check} && bsdtar -xf ${TOP}.zip`);
  }

  async byPipe(): Promise<void> {
    await this.#shell(`curl -sf ${this.servers.tarGz.url} | tar -xz`);
  }

  async unzip(): Promise<void> {
    await this.#shell(`unzip -q ${this.dataset.zip.path}`);
  }

  async hash(): Promise<void> {
    await this.#shell(`sha256sum ${this.dataset.zip.path}`);
  }

  /** As many files of the same sizes, by a program that has their bytes in memory. @returns seconds */
  async write(): Promise<number> {
    const bytes = await readFile(this.dataset.zip.path);
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

/** What is measured over a link: each arm of gpubox's against one of a person's. */
const DOWNLOADS: {
  measurement: number;
  what: string;
  packed: Packed;
  shared: boolean;
  against: Record<string, number>;
}[] = [
  {
    measurement: 1,
    what: "data, 20 MB/s a connection",
    packed: "zip",
    shared: false,
    against: { "wget; unzip": 0.15, "aria2c; sha256; bsdtar": 0.7 },
  },
  {
    measurement: 1,
    what: "tar.gz, 20 MB/s a connection",
    packed: "tarGz",
    shared: false,
    against: { "curl | tar xz": 0.5 },
  },
  {
    measurement: 2,
    what: "data, 20 MB/s for all",
    packed: "zip",
    shared: true,
    against: { "wget; unzip": 0.9 },
  },
  {
    measurement: 2,
    what: "tar.gz, 20 MB/s for all",
    packed: "tarGz",
    shared: true,
    against: { "curl | tar xz": 1.02 },
  },
];

async function download(bench: Bench, host: Host, wanted: ReadonlySet<number>): Promise<Row[]> {
  const downloads = DOWNLOADS.filter(({ measurement }) => wanted.has(measurement));
  const over = (shared: boolean, action: () => Promise<unknown>) => () => {
    for (const server of Object.values(host.servers)) server.setCap({ rate: RATE, shared });
    return fresh(host, () => seconds(action));
  };
  // One connection: it makes no difference whether others would share its link. Several take theirs from a link of each.
  const byHand: Record<string, () => Promise<number>> = {
    "wget; unzip": over(false, () => host.byHand()),
    "aria2c; sha256; bsdtar": over(false, () => host.bySpecialists()),
    "curl | tar xz": over(false, () => host.byPipe()),
  };
  const needed = new Set(downloads.flatMap(({ against }) => Object.keys(against)));
  const rounds = await bench.rounds("download", {
    ...Object.fromEntries(
      downloads.map(({ what, packed, shared }) => [what, over(shared, () => host.script(packed))]),
    ),
    ...Object.fromEntries(Object.entries(byHand).filter(([name]) => needed.has(name))),
  });
  for (const server of Object.values(host.servers)) server.setCap(undefined);
  return downloads.flatMap(({ measurement, what, packed, shared, against }) =>
    Object.entries(against).map(([theirs, aim]) => ({
      measurement,
      what,
      against: theirs,
      unit: "s" as const,
      aim,
      ...compare(rounds, what, theirs),
      ...(shared
        ? { note: `the link alone takes ${formatValue(host.dataset[packed].size / RATE, "s")}` }
        : {}),
    })),
  );
}

async function unpack(bench: Bench, host: Host): Promise<Row[]> {
  const url = pathToFileURL(host.dataset.zip.path).href;
  const rounds = await bench.rounds("unpacking", {
    script: () => fresh(host, () => seconds(() => host.script("zip", url))),
    "unzip -q": () => fresh(host, () => seconds(() => host.unzip())),
    "writing the files": () => fresh(host, () => host.write()),
  });
  const row = { measurement: 3, what: "from a file, hash checked", unit: "s" as const };
  return [
    { ...row, against: "unzip -q", aim: 0.4, ...compare(rounds, "script", "unzip -q") },
    { ...row, against: "writing the files", aim: 4, ...compare(rounds, "script", "writing the files") },
  ];
}

async function rerun(bench: Bench, host: Host): Promise<Row[]> {
  host.clear();
  await host.script();
  host.servers.zip.reset();
  const rounds = await bench.rounds("rerun", {
    script: () => seconds(() => host.script()),
    sha256sum: () => seconds(() => host.hash()),
  });
  const { bytes, requests } = host.servers.zip;
  return [
    {
      measurement: 4,
      what: "rerun, everything there",
      against: "sha256sum",
      unit: "s",
      aim: 0.02,
      ...compare(rounds, "script", "sha256sum"),
      counters: { [`${bytes} bytes served`]: bytes === 0, [`${requests} requests`]: requests === 0 },
    },
  ];
}

async function resume(bench: Bench, host: Host): Promise<Row[]> {
  // So that little is on its way when the connections break, as on a real link.
  host.servers.zip.setCap({ rate: RATE, shared: false });
  const served = async () => {
    host.servers.zip.reset(host.dataset.zip.size / 2);
    await fresh(host, () => host.script());
    // The last bytes are counted once the client has taken them.
    await sleep(50);
    const { bytes, requests } = host.servers.zip;
    return { bytes, requests };
  };
  const archive = async () => host.dataset.zip.size;
  const rounds = await bench.rounds("cut at half", { served, archive }, { counted: true });
  host.servers.zip.setCap(undefined);
  return [
    {
      measurement: 5,
      what: "bytes served, cut at half",
      against: "the archive",
      unit: "bytes",
      aim: 1.01,
      ...compare(rounds, "served bytes", "archive"),
      note: `${median(readings(rounds, "served requests"))} requests`,
    },
  ];
}

/** Bytes of memory that a data set may take, in MB, however large it is. */
const MOST_MEMORY = 150;

async function memory(bench: Bench, host: Host): Promise<Row[]> {
  const peak = (packed: Packed) => () =>
    fresh(host, async () => {
      const running = host.start(packed, host.servers[packed].url);
      const watched = watchMemory(running.pid);
      const { code, stderr } = await running.result;
      if (code !== 0) throw new Error(`the data program ended with ${code}:\n${stderr}`);
      return watched.stop();
    });
  const rounds = await bench.rounds(
    "memory",
    { zip: peak("zip"), tarGz: peak("tarGz"), limit: async () => MOST_MEMORY },
    { counted: true },
  );
  return (["zip", "tarGz"] as const).map((packed) => ({
    measurement: 5,
    what: `memory, ${packed === "zip" ? "zip" : "tar.gz"}`,
    against: "the limit",
    unit: "MB",
    aim: 1,
    ...compare(rounds, packed, "limit"),
  }));
}
