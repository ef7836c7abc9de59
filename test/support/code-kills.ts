/** Checkouts whose script is killed again and again: what may be there after each kill, and what must be in the end. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { bytes, type CodeHost, type makeCourse, type makeLessons } from "./code-host.ts";
import { removeFolder } from "./host-script.ts";
import { type Kill, killed, killsText } from "./killed-script.ts";

/** Each of these gives how many of the kills came too late. */
export type Campaign = (kills: readonly Kill[]) => Promise<number>;

const NOTEBOOK = "my notebook.ipynb";

/** A plain repository. */
export function lessonsKills(host: CodeHost, lessons: ReturnType<typeof makeLessons>) {
  const { at, git } = host;
  const head = () => git(at("course"), "rev-parse", "HEAD");
  const status = () => git(at("course"), "status", "--porcelain");

  const firstClone: Campaign = async (kills) => {
    const after = `killed: ${killsText(kills)}`;
    const wanted = { URL: host.url("lessons"), REF: lessons.second };
    let late = 0;
    for (const kill of kills) {
      if (!(await killed(host.start(wanted), kill))) late++;
      if (existsSync(at("course"))) expect(status(), after).toBe("");
    }
    expect(await host.checkOut(wanted), after).toMatchObject({ code: 0, stdout: `${at("course")}\n` });
    expect(head()).toBe(lessons.second);
    expect(status()).toBe("");
    await host.checkOut(wanted);
    expect(readdirSync(at()).sort()).toEqual([".gpubox", "course"]);
    return late;
  };

  const betweenCommits: Campaign = async (kills) => {
    const URL = `file://${lessons.bare}`;
    await host.checkOut({ URL, REF: lessons.first });
    writeFileSync(at("course", NOTEBOOK), "mine");
    let late = 0;
    let REF = lessons.first;
    for (const kill of kills) {
      REF = REF === lessons.first ? lessons.second : lessons.first;
      if (!(await killed(host.start({ URL, REF }), kill))) late++;
      expect(await host.checkOut({ URL, REF }), `killed: ${killsText(kills)}`).toMatchObject({ code: 0 });
      expect(head()).toBe(REF);
      expect(status()).toBe(`?? "${NOTEBOOK}"`);
    }
    expect(readFileSync(at("course", NOTEBOOK), "utf8")).toBe("mine");
    return late;
  };

  return { firstClone, betweenCommits };
}

/** A repository with submodules and files of LFS. */
export function courseKills(host: CodeHost, course: ReturnType<typeof makeCourse>) {
  const at = (...parts: string[]) => host.at("course", ...parts);
  const read = (...parts: string[]) => readFileSync(at(...parts), "utf8");
  const status = () => host.git(at(), "status", "--porcelain", "--ignore-submodules=none");
  const plain = (REF: string) => ({ URL: host.url("course"), REF });
  const wanted = (REF: string) => ({ ...plain(REF), SUBMODULES: "1", LFS: "1" });

  /** That all of the n-th commit is there, and nothing else. */
  const expectAll = (n: 1 | 2) => {
    expect(status()).toBe("");
    expect([read("model.bin"), read("part", "part.txt"), read("part", "deep", "deep.txt")]).toEqual([
      bytes(n),
      bytes(n),
      "deep",
    ]);
  };

  const firstClone: Campaign = async (kills) => {
    let late = 0;
    for (const kill of kills) {
      if (!(await killed(host.start(wanted("v1")), kill))) late++;
      if (existsSync(at())) expectAll(1);
    }
    expect(await host.checkOut(wanted("v1")), `killed: ${killsText(kills)}`).toMatchObject({ code: 0 });
    expectAll(1);
    return late;
  };

  /** Every `anew`-th kill comes while submodules and files are fetched for the first time. */
  const betweenCommits = async (kills: readonly Kill[], anew: number): Promise<number> => {
    await host.checkOut(plain("v1"));
    writeFileSync(at(NOTEBOOK), "mine");
    let late = 0;
    for (const [index, kill] of kills.entries()) {
      const second = index % 2 === 1;
      const REF = second ? course.second : "v1";
      if ((index + 1) % anew === 0) {
        removeFolder(at());
        await host.checkOut(plain(REF));
        writeFileSync(at(NOTEBOOK), "mine");
      }
      if (!(await killed(host.start(wanted(REF)), kill))) late++;
      const run = await host.checkOut(wanted(REF));
      expect(run, `killed: ${killsText(kills)}\n${run.stderr}`).toMatchObject({
        code: 0,
        stdout: `${at()}\n`,
      });
      expect(status()).toBe(`?? "${NOTEBOOK}"`);
      removeFolder(at(NOTEBOOK));
      expectAll(second ? 2 : 1);
      writeFileSync(at(NOTEBOOK), "mine");
    }
    return late;
  };

  return { expectAll, firstClone, betweenCommits };
}
