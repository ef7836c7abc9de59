/** Who must not get the token or a notebook's secrets, and what keeps others out of a running notebook. */
import { randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { status } from "../support/jupyter.ts";
import { createPerson, type Outcome, type Person } from "../support/person.ts";
import { processes } from "../support/processes.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;
/** Made anew: the person's checkout holds this file. */
const CANARY = `canary-${randomBytes(8).toString("hex")}`;

describeWithDaemon("secrets", () => {
  let daemon: Daemon;
  let person: Person;
  let first: Outcome;
  let url: string;
  let token: string;
  /** Every command line there was on this machine while the notebook was made. */
  const commandLines = new Set<string>();

  const docker = (...args: string[]) =>
    execa("docker", args, { env: { DOCKER_HOST: daemon.host }, all: true, maxBuffer: 1e9 });
  /** What must be nowhere: the token, the person's own secret, and either as base64 has it. */
  const secrets = () => [token, CANARY].flatMap((secret) => [secret, base64(secret)]);
  const expectNone = (text: string, where: string) => {
    for (const secret of secrets()) expect(text.includes(secret), `${secret} is in ${where}`).toBe(false);
  };

  beforeAll(async () => {
    daemon = await startDaemon({ group: String(UID) });
    person = await createPerson({ daemon, uid: UID });
    person.configure({
      image: { target: "lab" },
      notebooks: [{ name: "container1", gpus: "none", environment: { COLOUR: "blue" } }],
    });
    // Makes the stack, which has the key that the configuration's secrets are encrypted with.
    await person.npm("env");
    const file = join(person.home, "secret");
    writeFileSync(file, CANARY);
    const set = await person.sh(
      `node cli/gpubox.mjs pulumi config set --secret --path 'gpubox:notebooks[0].environment.API_KEY' <${file}`,
    );
    expect(set.exitCode, set.all).toBe(0);
    rmSync(file);
    let isDone = false;
    const watch = async () => {
      while (!isDone) {
        for (const { args } of processes()) commandLines.add(args);
        await sleep(20);
      }
    };
    const watching = watch();
    first = await person.npm("start");
    isDone = true;
    await watching;
    url = (await person.npm("url")).stdout;
    token = new URL(url).searchParams.get("token") ?? "";
  });
  afterAll(async () => {
    await person?.npm("destroy", "--yes");
    await person?.remove();
    await daemon?.end();
  });

  it("reach the notebook, and the person", async () => {
    expect(first.exitCode, first.all).toBe(0);
    expect(token).toMatch(/^\w{40}$/);
    const { Config } = await daemon.client.getContainer("container1").inspect();
    expect(Config.Env).toEqual(expect.arrayContaining([`API_KEY=${CANARY}`, `JUPYTER_TOKEN=${token}`]));
  });

  it("are in no command line while the notebook is made", () => {
    expect([...commandLines].some((line) => / up /.test(line))).toBe(true);
    expect([...commandLines].some((line) => line.includes("jupyter"))).toBe(true);
    expectNone([...commandLines].join("\n"), "a command line");
  });

  it("are in no output but the url", async () => {
    expectNone(first.all.replaceAll(url, ""), "the output of npm start");
    const { all } = await person.shell(
      "pulumi preview --diff --non-interactive; pulumi stack; pulumi stack output; pulumi stack history --json",
    );
    expectNone(all, "what the engine shows");
  });

  it("are in no file in clear: state, history, backups, the engine's logs", async () => {
    const patterns = secrets().flatMap((secret) => ["-e", secret]);
    const found = await execa("grep", ["-rlaF", ...patterns, person.home], { reject: false });
    expect(found.stdout).toBe("");
  });

  it("are in no log of the container", async () => {
    expectNone((await docker("logs", "container1")).all ?? "", "the log");
  });

  it("are in no layer of the image, nor its history", async () => {
    const { stdout: history } = await docker("history", "--no-trunc", "gpubox-dev");
    expectNone(history, "the image's history");
    const saved = execa("docker", ["save", "gpubox-dev"], {
      env: { DOCKER_HOST: daemon.host },
      encoding: "buffer",
      buffer: false,
    });
    const found = await find(saved.stdout as NodeJS.ReadableStream, [...secrets(), "start-notebook.sh"]);
    expect(found).toEqual(new Set(["start-notebook.sh"]));
  });

  describe("keep others out:", () => {
    it("there is no answer without the token, or with another one", async () => {
      for (const path of ["/api/contents", "/api/kernels", "/api/sessions", "/api/terminals"]) {
        expect(await status(url, path), path).toBe(200);
        expect(await status(url, path, ""), path).toBe(403);
        expect(await status(url, path, token.replace(/.$/, "_")), path).toBe(403);
      }
    });

    it("another site's page cannot use the browser's cookie: what changes something needs the page's own word", async () => {
      const cookies = new Map<string, string>();
      const header = () => [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
      const keep = ({ headers }: Response) => {
        for (const set of headers.getSetCookie()) {
          const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
          cookies.set(name, value);
        }
      };
      const login = new URL("/login", url);
      keep(await fetch(login));
      const xsrf = cookies.get("_xsrf") ?? "";
      const form = new URLSearchParams({ _xsrf: xsrf, password: token });
      keep(
        await fetch(login, { method: "POST", redirect: "manual", headers: { cookie: header() }, body: form }),
      );
      const cookie = header();
      const post = (headers: Record<string, string>) =>
        fetch(new URL("/api/contents/code", url), {
          method: "POST",
          headers: { cookie, ...headers },
          body: "{}",
        });
      const refused = await post({});
      expect(refused.status).toBe(403);
      expect(await refused.text()).toMatch(/xsrf/i);
      expect((await post({ "x-xsrftoken": "guessed" })).status).toBe(403);
      const other = await post({ origin: "http://other.example", "x-xsrftoken": xsrf });
      expect(other.status, "another site that knows it").toBe(404);
      expect((await post({ "x-xsrftoken": xsrf })).status).toBe(201);
    });

    it("no other address of the machine answers", async () => {
      const { stdout } = await execa("ss", ["-ltnH", "sport = :8888"]);
      expect(stdout.split("\n").map((line) => line.split(/\s+/)[3])).toEqual(["127.0.0.1:8888"]);
      const addresses = Object.values(networkInterfaces())
        .flatMap((each) => each ?? [])
        .filter(({ internal, family }) => !internal && family === "IPv4");
      expect(addresses.length).toBeGreaterThan(0);
      for (const { address } of addresses) expect(await connects(address, 8888), address).toBe(false);
      expect(await connects("127.0.0.1", 8888)).toBe(true);
    });
  });
});

function base64(text: string): string {
  // What of it does not depend on what stands before and behind it.
  return Buffer.from(text).toString("base64").replace(/..=*$/, "");
}

/** Which of the texts occur in a stream. */
async function find(stream: NodeJS.ReadableStream, texts: string[]): Promise<Set<string>> {
  const found = new Set<string>();
  const longest = Math.max(...texts.map(({ length }) => length));
  let tail = Buffer.alloc(0);
  for await (const chunk of stream) {
    const piece = Buffer.concat([tail, chunk as Buffer]);
    for (const text of texts) if (piece.includes(text)) found.add(text);
    tail = piece.subarray(-longest);
  }
  return found;
}

function connects(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port, timeout: 3_000 });
    const end = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.on("connect", end(true)).on("error", end(false)).on("timeout", end(false));
  });
}
