import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { stackPlaces } from "../../../../cli/pulumi/checkpoint.ts";
import { refuseDamagedState } from "../../../../cli/pulumi/damaged-state.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("a damaged state", () => {
  const places = () => stackPlaces(folder, "gpubox", "dev");
  const write = (file: string, content: string | Buffer, minutesAgo = 0) => {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    const time = new Date(Date.now() - minutesAgo * 60_000);
    utimesSync(file, time, time);
  };
  const refuse = () => refuseDamagedState({ stack: "dev" }, places());
  const said = () => {
    try {
      refuse();
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error("it was not refused");
  };
  /** Runs the first command of the message, as a person copies it. */
  const follow = () => execFileSync("sh", ["-ec", / {2}(mv .*)/.exec(said())?.[1] as string]);
  const state = (text: string) => JSON.stringify({ version: 3, checkpoint: text });

  it("is none where there is no state, or a whole one, packed or not", () => {
    refuse();
    write(`${places().state}.json`, state("whole"));
    write(`${places().state}.json.gz`, gzipSync(state("whole")));
    write(`${places().state}.json.zst`, zstdCompressSync(state("whole")));
    refuse();
  });

  it.each([
    ["empty", ""],
    ["half", state("whole").slice(0, 20)],
    ["zeros", "\0".repeat(100)],
  ])("(%s) is put aside and replaced by its newest whole backup, by the command that is printed", (_, text) => {
    const file = `${places().state}.json`;
    write(file, text);
    write(`${file}.bak`, state("older"), 2);
    write(join(places().backups, "dev.2.json"), state("newer"), 1);
    write(join(places().backups, "dev.3.json"), "{");
    write(join(places().backups, "dev.3.json.attrs"), "{}");
    expect(said()).toContain(file);
    follow();
    refuse();
    expect(readFileSync(file, "utf8")).toBe(state("newer"));
    const [aside] = readdirSync(dirname(file)).filter((name) => name.includes("damaged"));
    expect(readFileSync(join(dirname(file), aside as string), "utf8")).toBe(text);
  });

  it("may be packed, and so may its backup", () => {
    write(`${places().state}.json`, "{");
    write(`${places().state}.json.gz.bak`, gzipSync(state("packed")));
    follow();
    refuse();
    expect(gunzipSync(readFileSync(`${places().state}.json.gz`)).toString()).toBe(state("packed"));
  });

  it("without a whole backup is begun anew, and what it made is named", () => {
    write(`${places().state}.json`, "");
    write(`${places().state}.json.bak`, "");
    expect(said()).toMatch(/npm run adopt$/m);
    follow();
    refuse();
    expect(existsSync(`${places().state}.json`)).toBe(false);
  });
});
