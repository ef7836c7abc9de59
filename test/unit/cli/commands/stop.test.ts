/** `npm run stop` where no daemon says what runs. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createContext } from "../../../../cli/context.ts";
import { runCommand } from "../../../../cli/run-command.ts";

let folder: string;
let said = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
  writeFileSync(join(folder, "Pulumi.yaml"), "name: gpubox\n");
  writeFileSync(join(folder, "Pulumi.lab.yaml"), "config: {}\n");
  said = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const stop = (DOCKER_HOST: string) =>
  runCommand(
    "stop",
    ["-s", "lab"],
    createContext({ HOME: folder, PATH: process.env.PATH, DOCKER_HOST }, folder),
  );
const isMade = () => {
  const stacks = join(folder, ".gpubox", "state", ".pulumi", "stacks", "gpubox");
  mkdirSync(stacks, { recursive: true });
  writeFileSync(join(stacks, "lab.json"), '{"version":3,"checkpoint":{"latest":{}}}');
};

it("cannot tell, and says so", async () => {
  isMade();
  const socket = `unix://${join(folder, "none.sock")}`;
  await expect(stop(socket)).rejects.toThrow(
    `no Docker daemon answers at ${socket}, which DOCKER_HOST names, so gpubox cannot tell whether a notebook of stack lab is running. If you stopped Docker itself, its containers stopped with it, and \`npm start -- -s lab\` starts both again`,
  );
});

it.each([
  "bogus",
  "127.0.0.1:2375",
  "unix:/run/docker.sock",
  "unix://run/docker.sock",
  "tcp://",
  "a\u001b[31m://x",
])("takes %j for no address", async (address) => {
  isMade();
  await expect(stop(address)).rejects.toThrow(
    /^DOCKER_HOST names .*, which is not the address of a Docker daemon: .*unset DOCKER_HOST/,
  );
  await expect(stop(address)).rejects.toThrow(/^\P{Cc}+$/u);
});

it("has nothing to stop of a stack that was never made, whatever Docker does", async () => {
  expect(await stop("bogus")).toBe(0);
  expect(said).toBe("stack lab: no notebook is running\n");
});
