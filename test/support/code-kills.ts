/** Checkouts whose script is killed again and again: what may be there after each kill, and what must be in the end. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { bytes, type CodeHost, type makeCourse, type makeLessons } from "./code-host.ts";
import { removeFolder } from "./host-script.ts";
import { attempts, type Kill, killed, killsText } from "./killed-script.ts";

export type Campaign = (kills: readonly Kill[]) => Promise<void>;

const NOTEBOOK = "my notebook.ipynb";

/** A plain repository. */
export function lessonsKills(host: CodeHost, lessons: ReturnType<typeof makeLessons>) {
  const { at, git } = host;
  const head = () => git(at("course"), "rev-parse", "HEAD");
  const status = () => git(at("course"), "status", "--porcelain");

  const firstClone: Campaign = async (kills) => {
    const after = `killed: ${killsText(kills)}`;
    const wanted = { URL: host.url("lessons"), REF: lessons.second };
    for (const attempt of attempts(kills)) {
      attempt.hit = await killed(host.start(wanted), attempt.kill);
      if (existsSync(at("course"))) expect(status(), after).toBe("");
      if (!attempt.hit) removeFolder(at("course"));
    }
    expect(await host.checkOut(wanted), after).toMatchObject({ code: 0, stdout: `${at("course")}\n` });
    expect(head()).toBe(lessons.second);
    expect(status()).toBe("");
    await host.checkOut(wanted);
    expect(readdirSync(at()).sort()).toEqual([".gpubox", "course"]);
  };

  const betweenCommits: Campaign = async (kills) => {
    const URL = `file://${lessons.bare}`;
    await host.checkOut({ URL, REF: lessons.first });
    writeFileSync(at("course", NOTEBOOK), "mine");
    let REF = lessons.first;
    for (const attempt of attempts(kills)) {
      REF = REF === lessons.first ? lessons.second : lessons.first;
      attempt.hit = await killed(host.start({ URL, REF }), attempt.kill);
      expect(await host.checkOut({ URL, REF }), `killed: ${killsText(kills)}`).toMatchObject({ code: 0 });
      expect(head()).toBe(REF);
      expect(status()).toBe(`?? "${NOTEBOOK}"`);
    }
    expect(readFileSync(at("course", NOTEBOOK), "utf8")).toBe("mine");
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
    for (const attempt of attempts(kills)) {
      attempt.hit = await killed(host.start(wanted("v1")), attempt.kill);
      if (existsSync(at())) expectAll(1);
      if (!attempt.hit) removeFolder(at());
    }
    expect(await host.checkOut(wanted("v1")), `killed: ${killsText(kills)}`).toMatchObject({ code: 0 });
    expectAll(1);
  };

  /** The first and every `anew`-th kill come while submodules and files are fetched for the first time. */
  const betweenCommits = async (kills: readonly Kill[], anew: number): Promise<void> => {
    await host.checkOut(plain("v1"));
    writeFileSync(at(NOTEBOOK), "mine");
    let tried = 0;
    for (const attempt of attempts(kills)) {
      tried += 1;
      const second = tried % 2 === 0;
      const REF = second ? course.second : "v1";
      if (attempt.number === 1 || attempt.number % anew === 0) {
        removeFolder(at());
        await host.checkOut(plain(REF));
        writeFileSync(at(NOTEBOOK), "mine");
      }
      attempt.hit = await killed(host.start(wanted(REF)), attempt.kill);
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
  };

  return { expectAll, firstClone, betweenCommits };
}
