/** Whether the notebooks of a stack answer in the end, by what a daemon and they themselves say. */
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createContext, ROOT } from "../../../../cli/context.ts";
import { requireAnswers } from "../../../../cli/docker/own-containers.ts";
import { stackPlaces } from "../../../../cli/pulumi/checkpoint.ts";
import type { Session } from "../../../../cli/pulumi/session.ts";
import { TICK } from "../../../../cli/ui/say.ts";

let folder: string;
let servers: Server[] = [];
let asked: string[] = [];
let said = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
  [asked, said] = [[], ""];
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  for (const server of servers) server.close();
  servers = [];
  rmSync(folder, { recursive: true });
});

async function listening(server: Server, address: string | number): Promise<Server> {
  servers.push(server);
  await once(server.listen(address), "listening");
  return server;
}

/** A Jupyter that is not there yet when it is asked for the first times. */
async function jupyter(name: string, refusals: number): Promise<number> {
  const server = createServer((_, response) => {
    asked.push(name);
    response.statusCode = refusals-- > 0 ? 503 : 200;
    response.end('{"version": "2.20.0"}');
  });
  return ((await listening(server, 0)).address() as AddressInfo).port;
}

/** A stack of notebooks of which Docker says this; how often each was restarted, it says look by look. */
async function stackOf(
  notebooks: { name: string; status: string; refusals?: number; restarts?: number[] }[],
): Promise<Session> {
  const resources: object[] = [];
  const bin = join(folder, "bin");
  mkdirSync(bin);
  for (const { name, refusals = 0, restarts = [0] } of notebooks) {
    resources.push({
      urn: `urn::${name}`,
      type: "docker:index/container:Container",
      id: name,
      inputs: { name, ports: [{ external: await jupyter(name, refusals), ip: "127.0.0.1" }] },
    });
    writeFileSync(
      join(folder, `${name}.looks`),
      restarts.map((each) => `running 0 ${each} false 0\n`).join(""),
    );
  }
  const docker = `#!/bin/sh
for name; do :; done
looks='${folder}'/$name.looks
case $1 in
  inspect) head -n 1 "$looks"; if [ "$(wc -l <"$looks")" -gt 1 ]; then sed -i 1d "$looks"; fi ;;
esac
`;
  writeFileSync(join(bin, "docker"), docker, { mode: 0o755 });
  const place = stackPlaces(join(folder, "state"), "gpubox", "dev");
  mkdirSync(dirname(place.state), { recursive: true });
  const latest = { resources };
  writeFileSync(`${place.state}.json`, JSON.stringify({ version: 3, checkpoint: { latest } }));
  const socket = join(folder, "docker.sock");
  const listed = notebooks.map(({ name, status }) => ({ Id: name, Names: [`/${name}`], Status: status }));
  const daemon = createServer((_, response) => {
    response.setHeader("content-type", "application/json").end(JSON.stringify(listed));
  });
  await listening(daemon, socket);
  const context = createContext({ HOME: folder, PATH: `${bin}:${process.env.PATH}` }, ROOT);
  const address = { host: `unix://${socket}`, from: "DOCKER_HOST" };
  return { context, place, stack: "dev", host: "local", docker: address } as unknown as Session;
}

const LOOPING = { status: "Up 3 seconds (health: starting)", refusals: Infinity, restarts: [4, 5] };

describe("in the end of a start", () => {
  it("a notebook that stops again and again, and runs at the moment, is told with what shows why", async () => {
    const session = await stackOf([
      { name: "well", status: "Up 3 minutes (healthy)" },
      { name: "looping", ...LOOPING },
      { name: "fresh", status: "Up 2 seconds (health: starting)" },
    ]);
    await expect(requireAnswers(session)).rejects.toThrow(
      /^looping was started but does not answer \(container looping stops and is started again and again, .*\): `docker logs looping`, or `npm run logs -- looping`, shows .* a package you installed, .*$/,
    );
    expect(asked).not.toContain("well");
  });

  it("one that only takes its time is waited for", async () => {
    const status = "Up 2 seconds (health: starting)";
    const session = await stackOf([{ name: "slow", status, refusals: 4 }]);
    const { log } = TICK;
    TICK.log = 1_000;
    await requireAnswers(session).finally(() => {
      TICK.log = log;
    });
    expect(asked).toHaveLength(5);
    expect(said).toMatch(/^slow: waiting until it answers$/m);
  }, 40_000);

  it("one that was just made is asked once, and nothing is said", async () => {
    const status = "Up 2 seconds (health: starting)";
    await requireAnswers(await stackOf([{ name: "made", status }]));
    expect(asked).toEqual(["made"]);
    expect(said).toBe("");
  });
});
