/** What measurements 6 and 8 to 10 share: a Docker daemon of their own with the image, and a person with a stack on it. */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { type Daemon, startDaemon } from "../test/support/daemon.ts";
import { buildImage } from "../test/support/images.ts";
import { createPerson, type Outcome, type Person } from "../test/support/person.ts";
import type { Bench } from "./bench.ts";
import { seconds } from "./harness.ts";

/** The person's uid: not root, as most people are not. */
const UID = 1000;

/** Tag of the image that is built here; the person's stack builds its own out of the same cache. */
export const IMAGE = "gpubox-bench";

export interface Stage {
  daemon: Daemon;
  person: Person;
  /** Seconds of the first build of the image, on a daemon that had only the base image. */
  firstBuild: number;
  /** A copy of `docker/` to build from. */
  context: string;
}

/** Sets the stage, does something on it, and removes it. Needs root. */
export async function withStage<T>(bench: Bench, action: (stage: Stage) => Promise<T>): Promise<T> {
  const folder = join(bench.folder, "daemon");
  const daemon = await startDaemon({ folder, group: String(UID) });
  try {
    const person = await createPerson({ daemon, uid: UID });
    try {
      const context = join(bench.folder, "docker");
      cpSync(join(person.project, "docker"), context, { recursive: true });
      bench.say("building the image, on a daemon that has only the base image");
      const firstBuild = await seconds(() => buildImage(daemon.client, context, IMAGE));
      bench.say(`built in ${firstBuild.toFixed(0)} s`);
      return await action({ daemon, person, firstBuild, context });
    } finally {
      await person.remove();
    }
  } finally {
    // Ctrl-C on a terminal has reached the daemon as well: nobody is there to remove its containers one by one.
    await daemon.end().catch(() => daemon.stop());
  }
}

/** The configuration of notebooks on the CPU, on ports from 8888 on. */
export function notebooks(count: number): Record<string, unknown> {
  return {
    image: { target: "lab" },
    notebooks: Array.from({ length: count }, (_, index) => ({
      name: `bench${index + 1}`,
      gpus: "none",
      port: 8888 + index,
    })),
  };
}

/** @throws Error unless a command ended well, and said what it should */
export function expectOutcome({ exitCode, all }: Outcome, said = /(?:)/): void {
  if (exitCode !== 0 || !said.test(all)) throw new Error(`a command ended with ${exitCode}:\n${all}`);
}
