/** What a notebook, or an archive, plants for the command `dataset` to write elsewhere, to read without end, or to say. */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { type ArchiveEntry, tar, zip } from "../support/archives.ts";
import { datasetHost, PICTURES, sha256, UNPACKED } from "../support/dataset-host.ts";
import { removeFolder } from "../support/host-script.ts";

// Two busy cores start a process in some ten milliseconds, and a run starts a hundred.
vi.setConfig({ testTimeout: 60_000 });

const host = datasetHost();
const { scratch, at, dataIn, expectNothingInPlace } = host;
const bytes = zip(PICTURES);

/** What the person has outside of the root. */
let mine = "";
let tests = 0;
beforeEach(() => {
  tests += 1;
  mine = join(scratch, `mine ${tests}`);
  mkdirSync(mine);
  host.server.serve("/set.zip", bytes);
});

describe("dataset and an archive that is kept where a notebook can write", () => {
  const kept = () => at("set.archive", "set.zip");
  const wanted = { bytes, more: { KEEP_ARCHIVE: "1" } };
  beforeEach(async () => {
    expect((await host.fetch(wanted)).stderr).toContain("the archive is kept");
    removeFolder(at("set"));
    host.server.forget();
  });

  it("unpacks what it has looked into, whatever is written there meanwhile", async () => {
    const evil = zip([{ path: `${mine}/evil`, content: "x" }]);
    const running = host.start(wanted);
    // As soon as it is found it has been copied.
    const said = running.said(/found/).then(() => writeFileSync(kept(), evil));
    const run = await running.result;
    await said;
    expect(existsSync(join(mine, "evil"))).toBe(false);
    expect(run.stderr).toContain(`found ${kept()}`);
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual(UNPACKED);
    expect(host.server.requests).toEqual([]);
  });

  it("takes nothing that another has written there, and waits at no pipe", async () => {
    writeFileSync(kept(), zip([{ path: "other", content: "x" }]));
    expect((await host.fetch(wanted)).stderr).toContain("created");
    expect(host.gets()).toHaveLength(1);
    expect(dataIn("set")).toEqual(UNPACKED);
    removeFolder(at("set"));
    rmSync(kept());
    execFileSync("mkfifo", [kept()]);
    expect((await host.fetch(wanted)).stderr).toContain("created");
    expect(host.gets()).toHaveLength(2);
  });

  it("reads nothing that is not as large as the file, or nothing but a hole", async () => {
    truncateSync(kept(), 1e12);
    expect((await host.fetch(wanted)).stderr).toContain("created");
    expect(host.gets()).toHaveLength(1);
    removeFolder(at("set"));
    truncateSync(kept(), 1e12);
    const more = { ...wanted.more, SIZE: String(bytes.length) };
    expect((await host.fetch({ ...wanted, more })).stderr).toContain("created");
    expect(host.gets()).toHaveLength(2);
  });
});

describe("dataset and links in an archive", () => {
  it("takes another name of a link for a link", async () => {
    // From where it is written it stays inside; from its other name it leads to data/.
    const body = tar([
      { path: "a/b/c/s", link: "../../.." },
      { path: "q", hardLink: "./a//b/c/s" },
      { path: "q/evil", content: "x" },
    ]);
    host.server.serve("/set.tar", body);
    const run = await host.fetch({ path: "/set.tar" });
    expectNothingInPlace();
    expect(run.code).toBe(1);
    expect(run.stderr).toContain("set.tar is refused: q is another name of the link");
  });

  const evil: [string, ArchiveEntry[]][] = [
    ["an absolute path", [{ path: "MINE/evil", content: "x" }]],
    ["a path that climbs", [{ path: "../../../../mine/evil", content: "x" }]],
    [
      "a path behind a link",
      [
        { path: "s", link: "MINE" },
        { path: "s/evil", content: "x" },
      ],
    ],
  ];
  const everywhere = ["zip", "tar"].flatMap((kind) =>
    evil.map(([what, entries]): [string, string, ArchiveEntry[]] => [kind, what, entries]),
  );
  it.each(everywhere)("writes nothing elsewhere: %s, %s", async (kind, _, entries) => {
    // As deep as the folder that it is unpacked in, so that the path that climbs ends in it.
    mine = join(host.root, "mine");
    mkdirSync(mine);
    const make = kind === "zip" ? zip : tar;
    const body = make(
      entries.map((entry) => JSON.parse(JSON.stringify(entry).replaceAll("MINE", mine)) as ArchiveEntry),
    );
    host.server.serve(`/set.${kind}`, body);
    const run = await host.fetch({ path: `/set.${kind}`, bytes: body });
    expect(existsSync(join(mine, "evil"))).toBe(false);
    expect(run.code, run.stderr).toBe(1);
    expect(run.stderr).toContain(`/set.${kind} is refused: `);
    expectNothingInPlace();
  });
});

describe("dataset and what is said of an archive", () => {
  const fetchTar = async (entries: ArchiveEntry[]) => {
    host.server.serve("/set.tar", tar(entries));
    return await host.fetch({ path: "/set.tar" });
  };

  it("says of a name with a line break what it is", async () => {
    const run = await fetchTar([{ path: "a\nb", content: "1" }]);
    expect(run.code).toBe(1);
    expect(run.stderr).toContain("set.tar is refused: 'a\\nb' has control characters in its name");
    expectNothingInPlace();
  });

  it("takes a name with a backslash as it is", async () => {
    mkdirSync(join(host.root, "mine"));
    writeFileSync(join(host.root, "mine", "thesis"), "mine");
    // What some shells make of it is the path to that folder.
    const folder = `${"\\0056\\0056\\0057".repeat(4)}mine`;
    const run = await fetchTar([{ path: `${folder}/a`, content: "1" }]);
    expect(readFileSync(join(host.root, "mine", "thesis"), "utf8")).toBe("mine");
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual({ a: "1" });
  });

  it("gives the reason in words where a hard link leads nowhere", async () => {
    const run = await fetchTar([
      { path: "a", content: "1" },
      { path: "b", hardLink: "c" },
    ]);
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/set\.tar (cannot be unpacked|is refused: b )/);
    expect(run.stderr).not.toMatch(/Traceback|KeyError|File "/);
    expectNothingInPlace();
  });

  it.each(["tar", "zip"])("shows names in it as text: %s", async (kind) => {
    const entries = [{ path: "\u001b]52;c;cm0=\u0007\ndata set: created: x", link: "/etc" }];
    host.server.serve(`/set.${kind}`, kind === "zip" ? zip(entries) : tar(entries));
    const run = await host.fetch({ path: `/set.${kind}` });
    expect(run.code).toBe(1);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(run.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f]|^data set: created/m);
  });
});

describe("dataset and a plain file that is in place", () => {
  it("reads nothing of the person's that a link in its place leads to", async () => {
    const body = Buffer.from("1,2\n");
    host.server.serve("/labels.csv", body);
    const wanted = { path: "/labels.csv", sha256: sha256(body) };
    expect((await host.fetch(wanted)).stderr).toContain("created");
    writeFileSync(join(mine, "secret.gz"), gzipSync("secret"));
    rmSync(at("set", "labels.csv"));
    symlinkSync(join(mine, "secret.gz"), at("set", "labels.csv"));
    expect((await host.fetch(wanted)).stderr).toBe(`data set: unchanged: ${at("set")}\n`);
    rmSync(at("set", "labels.csv"));
    execFileSync("mkfifo", [at("set", "labels.csv")]);
    expect((await host.fetch(wanted)).stderr).toBe(`data set: unchanged: ${at("set")}\n`);
  });
});
