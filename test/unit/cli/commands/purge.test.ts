import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { chooseEntries as choosePut, type PutEntry, putEntries } from "../../../../cli/commands/purge.ts";
import { chooseEntries, updateEntries } from "../../../../cli/commands/update.ts";
import { createContext } from "../../../../cli/context.ts";
import { runCommand } from "../../../../cli/run-command.ts";
import { runHostScript } from "../../../../cli/system/host-scripts.ts";
import { UserError } from "../../../../errors.ts";
import type { CodeParameters } from "../../../../machine/scripts.ts";
import { gitAs } from "../../../support/git-server.ts";

vi.setConfig({ testTimeout: 30_000 });

const checkout = join(import.meta.dirname, "../../../..");
let scratch: string;
let home: string;
let root: string;
let said: string;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
  home = join(scratch, "home");
  root = join(home, "mount");
  for (const folder of ["code", "data"]) mkdirSync(join(root, folder), { recursive: true });
  copyFileSync(join(checkout, "Pulumi.yaml"), join(scratch, "Pulumi.yaml"));
  said = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(scratch, { recursive: true, force: true });
});

const env = () => ({ PATH: process.env.PATH, HOME: home, GIT_CONFIG_NOSYSTEM: "1", CI: "true" });
const run = (name: string, args: string[]) => runCommand(name, args, context());
const context = () => createContext(env(), scratch);
const writeStack = (lines: string[]) =>
  writeFileSync(join(scratch, "Pulumi.dev.yaml"), ["config:", ...lines, ""].join("\n"));
const git = (folder: string, ...args: string[]) => gitAs(home)(folder, ...args);

function makeUpstream(): string {
  const upstream = join(scratch, "upstream");
  mkdirSync(upstream);
  git(upstream, "init", "--quiet", "--initial-branch", "main");
  git(upstream, "commit", "--quiet", "--allow-empty", "-m", "one");
  return upstream;
}

const entry = (folder: string, ref = "main"): CodeParameters => ({
  ROOT: root,
  URL: `file://${join(scratch, "upstream")}`,
  REF: ref,
  FOLDER: folder,
});

async function putData(folder: string): Promise<void> {
  const file = join(scratch, "set.bin");
  writeFileSync(file, "a set");
  const { code } = await runHostScript(
    context(),
    "gpubox_data/dataset.py",
    {
      ROOT: root,
      URLS: `file://${file}`,
      SHA256: createHash("sha256").update("a set").digest("hex"),
      FOLDER: folder,
    },
    { stderr: "ignore" },
  );
  expect(code).toBe(0);
}

describe("npm run update", () => {
  it("takes all of them, or those that are named", () => {
    const entries = [entry("a"), entry("b")];
    expect(chooseEntries(entries, [])).toEqual(entries);
    expect(chooseEntries(entries, ["b"])).toEqual([entry("b")]);
    expect(() => chooseEntries(entries, ["c"])).toThrow(
      new UserError("there is no `code` entry c; there is a, b"),
    );
  });

  it("moves a branch on, and goes on after an entry that cannot be moved", async () => {
    const upstream = makeUpstream();
    for (const folder of ["a", "b"])
      await runHostScript(context(), "gpubox_data/code.py", entry(folder), { stderr: "ignore" });
    const edited = join(root, "code", "a");
    git(edited, "commit", "--quiet", "--allow-empty", "-m", "mine");
    const mine = git(edited, "rev-parse", "HEAD");
    git(upstream, "commit", "--quiet", "--allow-empty", "-m", "two");
    expect(await updateEntries(context(), [entry("a"), entry("b")])).toBe(3);
    expect(said).toContain("code/a: not updated");
    expect(git(edited, "rev-parse", "HEAD")).toBe(mine);
    expect(git(join(root, "code", "b"), "rev-parse", "HEAD")).toBe(git(upstream, "rev-parse", "HEAD"));
    expect(await updateEntries(context(), [entry("b")])).toBe(0);
  });

  it.each([
    [
      ["  gpubox:root: ~/mount"],
      [],
      "stack dev has no code entries: list them as `gpubox:code` in Pulumi.dev.yaml",
    ],
    [["  gpubox:root: ~/mount"], ["course"], "there is no `code` entry course; there is none"],
    [["  gpubox:root: ~/mount"], ["--all"], "there is no option --all"],
    [["  gpubox:code: [{ url: file:///x/course, ref: main }]"], [], "stack dev is not up"],
  ])("with %j and %j says what is wrong", async (lines, args, message) => {
    writeStack(lines);
    await expect(run("update", args)).rejects.toThrow(message);
  });
});

describe("npm run purge", () => {
  const put = (kind: PutEntry["kind"], folder: string): PutEntry => ({
    kind,
    folder,
    paths: ["/x"],
    kilobytes: 1,
  });

  it("takes all that is there, or what is named", () => {
    const entries = [put("code", "a"), put("data", "a"), put("data", "b")];
    expect(choosePut(entries, [])).toEqual(entries);
    expect(choosePut(entries, ["data/a", "b"])).toEqual([put("data", "a"), put("data", "b")]);
    expect(choosePut(entries, ["a"])).toEqual([put("code", "a"), put("data", "a")]);
    expect(() => choosePut(entries, ["c"])).toThrow("gpubox has put no c there");
  });

  it("lists what gpubox put there, and half-made things, and nothing of the person's", async () => {
    makeUpstream();
    await runHostScript(context(), "gpubox_data/code.py", entry("courses/one"), { stderr: "ignore" });
    await putData("pets");
    mkdirSync(join(root, "data", "mine"));
    mkdirSync(join(root, "data", ".gpubox", "cut short"), { recursive: true });
    writeFileSync(join(root, "data", ".gpubox", "cut short", "x.part"), "half");
    const kilobytes = expect.any(Number);
    expect(await putEntries(context(), { ROOT: "~/mount", IMAGE: "gpubox-dev" })).toEqual([
      { kind: "code", folder: "courses/one", paths: [join(root, "code", "courses/one")], kilobytes },
      { kind: "data", folder: "cut short", paths: [join(root, "data", ".gpubox", "cut short")], kilobytes },
      { kind: "data", folder: "pets", paths: [join(root, "data", "pets")], kilobytes },
    ]);
  });

  it("removes nothing that was not confirmed, and says what it would", async () => {
    writeStack([
      "  gpubox:root: ~/mount",
      "  gpubox:data:",
      `    - { url: "file:///x/pets.zip", sha256: ${"a".repeat(64)} }`,
    ]);
    await putData("pets");
    await expect(run("purge", [])).rejects.toThrow("npm run purge -- --yes");
    expect(said).toMatch(
      /^data\/pets {2}0\.0 MB \(still in Pulumi\.dev\.yaml: the next `npm start` brings it back\)$/m,
    );
    expect(said).toContain(join(root, "data", "pets"));
    expect(existsSync(join(root, "data", "pets", "set.bin"))).toBe(true);
  });

  it("keeps what another stack has on the same machine, unless it is named", async () => {
    await putData("pets");
    await putData("own");
    writeStack(["  gpubox:root: ~/mount"]);
    const other = (lines: string[]) =>
      writeFileSync(join(scratch, "Pulumi.second.yaml"), ["config:", ...lines, ""].join("\n"));
    other([`  gpubox:root: ${root}`, "  gpubox:data: [{ url: https://example.org/pets.zip }]"]);
    expect(await run("purge", ["--yes"])).toBe(0);
    expect(existsSync(join(root, "data", "own"))).toBe(false);
    expect(said).toMatch(
      /data\/pets: kept, because Pulumi\.second\.yaml uses it too.*npm run purge -- data\/pets/,
    );
    expect(existsSync(join(root, "data", "pets"))).toBe(true);
    expect(await run("purge", ["data/pets", "--yes"])).toBe(0);
    expect(said).toContain("Pulumi.second.yaml uses it too, and its notebooks will lose it");
    expect(existsSync(join(root, "data", "pets"))).toBe(false);
    // Below another root it is another.
    await putData("pets");
    other(["  gpubox:root: ~/elsewhere", "  gpubox:data: [{ url: https://example.org/pets.zip }]"]);
    expect(await run("purge", ["--yes"])).toBe(0);
    expect(existsSync(join(root, "data", "pets"))).toBe(false);
  });

  it("removes what was confirmed, by name", async () => {
    writeStack(["  gpubox:root: ~/mount"]);
    await putData("pets");
    await putData("other");
    expect(await run("purge", ["data/pets", "--yes"])).toBe(0);
    expect(said).not.toContain("still in");
    expect(readdirSync(join(root, "data")).sort()).toEqual([".gpubox", "other"]);
    expect(await run("purge", ["-y"])).toBe(0);
    expect(readdirSync(join(root, "data"))).toEqual([".gpubox"]);
    expect(await run("purge", ["-y"])).toBe(0);
    expect(said).toContain("gpubox has put nothing below ~/mount");
  });

  it.each([
    [["  gpubox:rot: ~/mount"], [], "gpubox:rot: there is no such key"],
    [["  gpubox:host: { kind: ssh }"], [], "gpubox:host.address"],
    [["  gpubox:root: ~/mount"], ["--force"], "there is no option --force"],
    [["  gpubox:root: ~/mount"], ["pets", "-y"], "gpubox has put no pets there"],
  ])("with %j and %j says what is wrong", async (lines, args, message) => {
    writeStack(lines);
    await expect(run("purge", args)).rejects.toThrow(message);
  });
});
