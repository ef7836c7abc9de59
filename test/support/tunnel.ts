/** `npm run tunnel`, as a person has it open in another terminal. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Person } from "./person.ts";

const MINUTE = 60_000;

/** Opens the tunnel while `use` is at work, which is given the first notebook's url. */
export async function throughTunnel(
  person: Person,
  use: (url: string) => Promise<void>,
  args = "",
): Promise<void> {
  const out = join(person.project, "tunnel.out");
  const running = person.sh(
    `echo $$ >tunnel.pid; exec node cli/gpubox.mjs tunnel ${args} >tunnel.out 2>tunnel.log`,
  );
  try {
    await expect
      .poll(() => existsSync(out) && readFileSync(out, "utf8"), { timeout: MINUTE, interval: 200 })
      .toMatch(/^http.*\n/);
    await use(readFileSync(out, "utf8").split("\n")[0] as string);
  } finally {
    process.kill(Number(readFileSync(join(person.project, "tunnel.pid"), "utf8")), "SIGTERM");
    await running;
    rmSync(out, { force: true });
  }
}
