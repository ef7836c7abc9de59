/** A host for the command `dataset`: a folder as ROOT, and a loopback server with what is downloaded. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import { type ArchiveEntry, zip } from "./archives.ts";
import {
  filesBelow,
  pathWith,
  type RunningScript,
  type ScriptOptions,
  type ScriptResult,
  startScript,
} from "./host-script.ts";
import { type LoopbackServer, startLoopbackServer } from "./loopback-server.ts";
import { ownFolder } from "./own-folder.ts";

export const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

/** The entries of a small archive with a single folder at its top. */
export const PICTURES: ArchiveEntry[] = [
  { path: "dogscats/" },
  { path: "dogscats/train/cat 1.jpg", content: "a cat" },
  { path: "dogscats/valid/Zoë.jpg", content: "a dog" },
];
/** What `PICTURES` becomes in the data set's folder. */
export const UNPACKED = { "train/cat 1.jpg": "a cat", "valid/Zoë.jpg": "a dog" };

/** What a file takes to be downloaded in several places at once. */
export const LARGE = "0123456789abcdef".repeat(400_000);
/** A zip that holds `LARGE` as a.bin, without compression. */
export const large = zip([{ path: "a.bin", content: LARGE }]);

/** What is asked of it; what is left out is as most tests have it. */
export interface Wanted {
  /** Path on the server; /set.zip by default. */
  path?: string;
  /** The file whose hash is asked for. */
  bytes?: Uint8Array;
  urls?: string;
  sha256?: string;
  folder?: string;
  /** Other parameters of the script. */
  more?: Record<string, string>;
}

/** The host of one test file; each test has a root of its own. Call it where the file is read: it registers hooks. */
export function datasetHost() {
  const scratch = ownFolder();
  let server: LoopbackServer;
  let roots = 0;

  const host = {
    /** Folder for what a test file needs beside the root. */
    scratch,
    /** ROOT of the script. */
    root: "",
    get server() {
      return server;
    },
    /** A path below data/. */
    at: (...parts: string[]) => join(host.root, "data", ...parts),
    environment: (wanted: Wanted): Record<string, string> => ({
      ROOT: host.root,
      URLS: wanted.urls ?? server.url(wanted.path ?? "/set.zip"),
      SHA256: wanted.sha256 ?? (wanted.bytes ? sha256(wanted.bytes) : ""),
      FOLDER: wanted.folder ?? "set",
      ...wanted.more,
    }),
    fetch: (wanted: Wanted, options?: ScriptOptions): Promise<ScriptResult> =>
      host.start(wanted, options).result,
    start: (wanted: Wanted, options?: ScriptOptions): RunningScript =>
      startScript("gpubox_data/dataset.py", host.environment(wanted), {
        path: join(scratch, "usual"),
        ...options,
      }),
    /** The person's files of a data set: all but the script's own record. */
    dataIn: (folder: string): Record<string, string> => {
      const { ".gpubox.json": _, ...files } = filesBelow(host.at(folder));
      return files;
    },
    /** Nothing but hidden files of our own: no target, whole or half. */
    expectNothingInPlace: () => {
      expect(readdirSync(host.at())).toEqual([".gpubox"]);
      expect(existsSync(host.at(".gpubox", "set", "unpacked"))).toBe(false);
    },
    /** Requests for a file itself, so far. */
    gets: () => server.requests.filter(({ method }) => method === "GET"),
  };

  beforeAll(async () => {
    pathWith(join(scratch, "usual"), "python3");
    server = await startLoopbackServer();
  });
  afterAll(() => server.close());
  beforeEach(() => {
    roots += 1;
    host.root = join(scratch, `root ${roots}`);
    mkdirSync(host.at(), { recursive: true });
    server.forget();
  });
  return host;
}
