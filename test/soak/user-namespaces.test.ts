/** Daemons that give containers other ids than the machine's: whose the files are, and what is said where that cannot be. */
import { chmodSync, chownSync, existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { expect, it } from "vitest";
import { type Daemon, laneFolder, startDaemon } from "../support/daemon.ts";
import { execute } from "../support/jupyter.ts";
import { enlist } from "../support/people.ts";
import { createPerson, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";
import { startRootless } from "../support/rootless.ts";

const UID = 1000;
const LAB = 4000;

describeWithDaemon("a daemon with user namespaces", () => {
  it.each<[string, (name: string) => Promise<Pick<Daemon, "host" | "client" | "end">>, RegExp, boolean]>([
    [
      "that is rootless",
      () => startRootless(join(laneFolder(), "r"), UID),
      /rootless: in a notebook you are root, and have none of your groups/,
      false,
    ],
    [
      "that remaps ids",
      (name) =>
        startDaemon({
          folder: join(laneFolder(), "u"),
          group: String(UID),
          args: [`--userns-remap=${name}`],
        }),
      /to take it over/,
      true,
    ],
  ])("%s: the image is built, files belong to the person, nothing drifts", async (_, start, mend, hasGroups) => {
    const name = await enlist(laneFolder(), UID, { lab: LAB });
    const daemon = await start(name);
    let person: Person | undefined;
    try {
      person = await createPerson({ daemon, uid: UID });
      const shared = join(person.home, "shared");
      mkdirSync(shared);
      chownSync(shared, 0, LAB);
      chmodSync(shared, 0o2775);
      const volumes = [{ source: shared, target: "/shared" }];
      person.configure({ image: { target: "lab" }, notebooks: [{ name: "nb", gpus: "none", volumes }] });
      const up = await person.npm("start");
      expect(up.exitCode, up.all).toBe(0);
      if (hasGroups) expect(up.all).not.toContain("cannot be written");
      else expect(up.all).toMatch(mend);

      const { stdout: url } = await person.npm("url");
      const made = await execute(
        url,
        "import os\nfor path in ('/code/x', '/data/x', os.path.expanduser('~/x')): open(path, 'w').write('x')",
      );
      expect(made.error).toBeUndefined();
      for (const folder of ["code", "data"]) {
        expect(statSync(join(person.root, folder, "x"))).toMatchObject({ uid: UID, gid: UID });
        expect(statSync(join(person.root, folder, folder === "code" ? "starters" : "shapes")).uid).toBe(UID);
      }
      const inside = (...command: string[]) =>
        execa("docker", ["exec", "nb", ...command], { env: { DOCKER_HOST: daemon.host }, reject: false });
      expect((await inside("grep", "-E", "^Cap(Eff|Bnd)|NoNewPrivs", "/proc/1/status")).stdout).toMatch(
        /CapEff:\t0{16}\nCapBnd:\t0{16}\nNoNewPrivs:\t1/,
      );
      expect((await inside("touch", "/shared/x")).exitCode).toBe(hasGroups ? 0 : 1);
      expect(existsSync(join(shared, "x"))).toBe(hasGroups);

      const again = await person.npm("start");
      expect(again.stdout).toMatch(/^unchanged/m);
      const drift = await person.npm("preview", "--refresh", "--expect-no-changes");
      expect(drift.exitCode, drift.all).toBe(0);

      // An image that knows of no home folder in that place.
      const { client } = daemon;
      const bare = await client.createContainer({
        Image: "gpubox-dev",
        User: "0:0",
        Entrypoint: ["rm", "-r", "/home/jupyter"],
        Cmd: [],
        WorkingDir: "/",
      });
      await bare.start();
      expect(await bare.wait()).toMatchObject({ StatusCode: 0 });
      await bare.commit({ repo: "example.org/bare", tag: "1" });
      await bare.remove();
      const image = { pull: "example.org/bare:1", entrypoint: ["start-notebook.sh"] };
      person.configure({ image, notebooks: [{ name: "pulled", gpus: "none" }] });
      const pulled = await person.npm("start", "--yes");
      expect(pulled.exitCode, pulled.all).toBe(0);
      expect(pulled.all).not.toContain("/home/jupyter cannot be written");

      const down = await person.npm("destroy", "--yes");
      expect(down.exitCode, down.all).toBe(0);
      expect(existsSync(join(person.root, "code", "x"))).toBe(true);
    } finally {
      await person?.remove();
      await daemon.end();
    }
  });
});
