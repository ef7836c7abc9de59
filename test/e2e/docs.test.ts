/** The commands of the documentation, page by page, as a person types them who reads it from top to bottom. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { quote } from "../../text/shell.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { type Block, pagePaths, patternOf, readPage } from "../support/docs.ts";
import { gitAs } from "../support/git-server.ts";
import { createPerson, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;

/** Pages with commands that can be run here. */
const pages = pagePaths()
  .map(readPage)
  .map(({ path, blocks }) => ({ path, blocks }))
  .filter(({ blocks }) => blocks.some(isRun));

function isRun({ language, runBy, notRun }: Block): boolean {
  return language === "sh" && !runBy && !notRun;
}

describeWithDaemon("the documentation", () => {
  let daemon: Daemon;
  let person: Person;

  beforeAll(async () => {
    daemon = await startDaemon({ group: String(UID) });
    person = await createPerson({ daemon, uid: UID });
    const course = join(person.home, "course");
    makeRepository(course);
    // The defaults, but for an image that is built in a minute, and code on a branch that can be updated.
    person.configure({
      image: { target: "lab" },
      code: [{ url: `file://${course}`, ref: "main", folder: "course" }],
    });
  });

  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
  });

  function makeRepository(folder: string) {
    execFileSync("git", ["init", "--quiet", "--initial-branch", "main", folder]);
    writeFileSync(join(folder, "lesson1.txt"), "a lesson\n");
    const git = gitAs(person.home);
    git(folder, "add", ".");
    git(folder, "commit", "--quiet", "-m", "first lesson");
    execFileSync("chown", ["-R", `${UID}:${UID}`, folder]);
  }

  /** A block that begins with a file's name is that file; the image is the small one here too. */
  function writeStackFile({ text }: Block) {
    const [, name] = /^# (Pulumi\.\w+\.yaml)\n/.exec(text) ?? [];
    if (!name) return;
    const { config } = parse(text);
    const file = stringify({ config: { "gpubox:image": { target: "lab" }, ...config } });
    writeFileSync(join(person.project, name), file);
  }

  it.each(pages)("$path", async ({ blocks }) => {
    for (const block of blocks) {
      if (block.language === "yaml") writeStackFile(block);
      if (!isRun(block)) continue;
      // A person's shell knows aliases; each block is typed into a fresh one.
      const script = `set -e\nshopt -s expand_aliases\n${block.text}\n`;
      const { exitCode, all } = await person.sh(`exec bash -c ${quote(script)}`);
      expect(exitCode, `${block.text}\n${all}`).toBe(0);
      for (const line of block.prints?.split("\n") ?? []) {
        expect(all, block.text).toMatch(new RegExp(`^${patternOf(line, ".*")}`, "m"));
      }
    }
  });
});
