/** Checkouts whose files git calls modified though nobody touched them. */
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { codeHost } from "../support/code-host.ts";
import { gitAs } from "../support/git-server.ts";
import { lacks, missingPrograms, removeFolder, runScript } from "../support/host-script.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const host = codeHost();
const { scratch, git } = host;
const skip = lacks(missingPrograms("git git-lfs"), "checkouts that git calls modified");
const at = (...parts: string[]) => host.at("course", ...parts);
const notebooks = join(scratch, "home of notebooks");
const keen = join(scratch, "home of LFS");
const LESSON = '{"cells":[{"outputs":["big"],"source":"1+1"}]}\n';

/**
 * Repositories whose files are not what git would make of them today: v1, v2, which has a file more, and v3, which has them
 * changed.
 */
const KINDS = {
  "line endings that the attributes do not allow": {
    home: host.home,
    file: "lesson.py",
    texts: ["a\r\nb\r\n", "a\r\nb\r\nc\r\n"],
    attributes: "*.py text eol=lf\n",
  },
  "a filter of the person's, as nbstripout --install --global leaves it": {
    home: notebooks,
    file: "lesson.ipynb",
    texts: [LESSON, LESSON.replace("1+1", "2+2")],
    attributes: "",
  },
  "LFS's attributes for files that are not in LFS": {
    home: keen,
    file: "model.bin",
    texts: ["plain", "plain as well"],
    attributes: "*.bin filter=lfs diff=lfs merge=lfs -text\n",
  },
} as const;
type Kind = keyof typeof KINDS;
const kinds = Object.keys(KINDS) as Kind[];
const upstream = (kind: Kind) => join(scratch, `upstream ${kinds.indexOf(kind)}`);

beforeAll(() => {
  if (skip) return;
  const strip = join(scratch, "strip");
  writeFileSync(strip, `#!/bin/sh\nsed 's/"outputs":\\[[^]]*\\]/"outputs":[]/'\n`);
  chmodSync(strip, 0o755);
  mkdirSync(join(notebooks, ".config", "git"), { recursive: true });
  writeFileSync(join(notebooks, ".config", "git", "attributes"), "*.ipynb filter=nbstripout\n");
  writeFileSync(
    join(notebooks, ".gitconfig"),
    `[filter "nbstripout"]\n\tclean = ${strip}\n\tsmudge = cat\n\trequired = true\n`,
  );
  mkdirSync(keen);
  gitAs(keen)(scratch, "lfs", "install", "--skip-repo");
  for (const kind of kinds) {
    const { file, texts, attributes } = KINDS[kind];
    const folder = upstream(kind);
    const commit = (tag: string, files: Record<string, string>) => {
      for (const [path, text] of Object.entries(files)) writeFileSync(join(folder, path), text);
      git(folder, "add", ...Object.keys(files));
      git(folder, "commit", "--quiet", "-m", tag);
      git(folder, "tag", tag);
    };
    mkdirSync(folder);
    git(folder, "init", "--quiet");
    commit("v0", { [file]: texts[0] });
    commit("v1", { ".gitattributes": attributes });
    commit("v2", { new: "new" });
    // By its bytes, as git would not take them now.
    mkdirSync(join(folder, ".git", "info"), { recursive: true });
    writeFileSync(join(folder, ".git", "info", "attributes"), "* -text !eol !filter\n");
    commit("v3", { [file]: texts[1] });
  }
});

const wantedOf = (kind: Kind, ref: string) => ({
  URL: `file://${upstream(kind)}`,
  REF: ref,
  HOME: KINDS[kind].home,
});
const checkOut = (kind: Kind, ref: string) => host.checkOut(wantedOf(kind, ref));
const purge = (kind: Kind) =>
  runScript("gpubox_data/retire.py", { ...host.environment(wantedOf(kind, "v1")), KIND: "code", PURGE: "1" });
const text = (kind: Kind) => readFileSync(at(KINDS[kind].file), "utf8");
/** What the person's own git makes of it, once it looks into the files. */
const status = (kind: Kind) => {
  const { home, file } = KINDS[kind];
  writeFileSync(at(file), readFileSync(at(file)));
  return gitAs(home)(at(), "status", "--porcelain");
};

describe.skipIf(skip).each(kinds)("code.py and %s", (kind) => {
  const { file, texts } = KINDS[kind];

  it("moves on a checkout that nobody touched, also where those files change", async () => {
    expect(await checkOut(kind, "v1")).toMatchObject({ code: 0 });
    expect(text(kind)).toBe(texts[0]);
    expect(status(kind)).toBe(` M ${file}`);
    expect(await checkOut(kind, "v2")).toMatchObject({ code: 0 });
    expect([text(kind), existsSync(at("new"))]).toEqual([texts[0], true]);
    status(kind);
    expect(await checkOut(kind, "v3")).toMatchObject({ code: 0 });
    expect(text(kind)).toBe(texts[1]);
    status(kind);
    expect(await checkOut(kind, "v1")).toMatchObject({ code: 0 });
    expect([text(kind), existsSync(at("new"))]).toEqual([texts[0], false]);
  });

  it.each<[string, () => void]>([
    ["edited", () => writeFileSync(at(file), `${texts[0]}mine`)],
    ["edited to the same length", () => writeFileSync(at(file), texts[0].replace(/[a1p]/, "x"))],
    ["removed", () => removeFolder(at(file))],
    ["made executable", () => chmodSync(at(file), 0o755)],
    [
      "made a link",
      () => {
        removeFolder(at(file));
        symlinkSync("elsewhere", at(file));
      },
    ],
    [
      "staged",
      () => {
        writeFileSync(at(file), `${texts[0]}mine`);
        gitAs(host.home)(at(), "add", file);
        writeFileSync(at(file), texts[0]);
      },
    ],
  ])("stops where such a file was %s", async (_, change) => {
    expect(await checkOut(kind, "v1")).toMatchObject({ code: 0 });
    status(kind);
    change();
    const run = await checkOut(kind, "v3");
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain("has local changes (above)");
    expect(run.stderr).toContain(file);
    expect((await purge(kind)).stderr).toContain("kept: ");
    expect(existsSync(at("new"))).toBe(false);
  });

  it("is removed by retire.py", async () => {
    expect(await checkOut(kind, "v1")).toMatchObject({ code: 0 });
    expect(status(kind)).toBe(` M ${file}`);
    expect((await purge(kind)).stderr).toContain("removed: ");
    expect(existsSync(at())).toBe(false);
  });
});
