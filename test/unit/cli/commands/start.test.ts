/** `npm start -- NOTEBOOK`: one notebook of a stack that is up, and no engine. */
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createContext } from "../../../../cli/context.ts";
import { stackPlaces } from "../../../../cli/pulumi/checkpoint.ts";
import { runCommand } from "../../../../cli/run-command.ts";

let folder: string;
let servers: Server[] = [];
/** What the daemon was asked to change. */
let changes: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
  mkdirSync(join(folder, "bin"));
  [servers, changes] = [[], []];
  writeFileSync(join(folder, "Pulumi.yaml"), "name: gpubox\n");
  writeFileSync(
    join(folder, "Pulumi.lab.yaml"),
    "config:\n  gpubox:notebooks: [{name: one}, {name: two}, {name: three}, {name: new}]\n",
  );
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
});
afterEach(() => {
  vi.restoreAllMocks();
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true });
});

async function serve(server: Server, address: string | number): Promise<Server> {
  servers.push(server);
  await once(server.listen(address), "listening");
  return server;
}

const NOTEBOOKS = {
  one: "Up 3 minutes (healthy)",
  two: "Exited (0) 2 minutes ago",
  three: "Up 1 hour (Paused)",
};

/** Three notebooks, of which Docker says this. */
async function makeStack(): Promise<void> {
  const jupyter = createServer((_, response) => response.end('{"version": "2.20.0"}'));
  const { port } = (await serve(jupyter, 0)).address() as AddressInfo;
  const containers = Object.keys(NOTEBOOKS).map((name) => ({
    urn: `urn::${name}`,
    type: "docker:index/container:Container",
    id: `id-${name}`,
    inputs: { name, ports: [{ external: port, ip: "127.0.0.1" }] },
  }));
  const resources = [{ urn: "urn::host", type: "gpubox:host:LocalHost" }, ...containers];
  const place = stackPlaces(join(folder, ".gpubox", "state"), "gpubox", "lab");
  mkdirSync(dirname(place.state), { recursive: true });
  writeFileSync(`${place.state}.json`, JSON.stringify({ version: 3, checkpoint: { latest: { resources } } }));
  // Asked by the script that waits for a notebook.
  writeFileSync(join(folder, "bin", "docker"), "#!/bin/sh\necho running 0 0 false 0\n", { mode: 0o755 });
  // No engine: who asks for one has this.
  writeFileSync(join(folder, "bin", "pulumi"), `#!/bin/sh\ntouch '${folder}/engine'\n`, { mode: 0o755 });
  const listed = Object.entries(NOTEBOOKS).map(([name, Status]) => ({
    Id: `id-${name}`,
    Names: [`/${name}`],
    Labels: {},
    Status,
    State: "running",
  }));
  const daemon = createServer(({ method, url = "" }, response) => {
    if (method === "POST") {
      changes.push(url.replace(/^\/v[\d.]+/, ""));
      response.writeHead(204).end();
    } else response.setHeader("content-type", "application/json").end(JSON.stringify(listed));
  });
  await serve(daemon, join(folder, "docker.sock"));
}

async function start(...args: string[]): Promise<string> {
  const out = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  const env = {
    HOME: folder,
    PATH: `${join(folder, "bin")}:${process.env.PATH}`,
    DOCKER_HOST: `unix://${join(folder, "docker.sock")}`,
  };
  await runCommand("up", [...args, "-s", "lab"], { ...createContext(env, folder), interactive: false });
  expect(existsSync(join(folder, "engine"))).toBe(false);
  return out.mock.calls.join("");
}

it("starts that one alone, and waits until it answers", async () => {
  await makeStack();
  expect(await start("two")).toBe("two: up; its link: npm run url -- two -s lab\n");
  expect(changes).toEqual(["/containers/id-two/start"]);
});

it("has a paused one go on, and leaves one alone that is up", async () => {
  await makeStack();
  expect(await start("three", "one", "three")).toContain("one: up; its link");
  expect(changes).toEqual(["/containers/id-three/unpause"]);
});

it("refuses a name that it does not know, with the nearest, before anything is started", async () => {
  await makeStack();
  await expect(start("two", "thre")).rejects.toThrow(
    "stack lab has no notebook thre; it has one, two, three: did you mean three?",
  );
  expect(changes).toEqual([]);
});

it("says of one that has no container yet what makes it", async () => {
  await makeStack();
  await expect(start("new")).rejects.toThrow("new has no container: `npm start -- -s lab` makes one");
});

it("runs no engine, and so takes no option of its", async () => {
  await makeStack();
  await expect(start("two", "--diff")).rejects.toThrow(
    "start: with the name of a notebook it runs no engine, and takes no --diff",
  );
  expect(changes).toEqual([]);
});

it("refuses where the stack is not up", async () => {
  await expect(start("two")).rejects.toThrow("stack lab is not up: run `npm start -- -s lab`");
});
