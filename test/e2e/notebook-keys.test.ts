/** Every key of a notebook added, changed and taken back: after each run the daemon has what the configuration says. */
import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type Docker from "dockerode";
import { afterAll, beforeAll, expect, it } from "vitest";
import { stackJsonSchema } from "../../config/schema.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { createPerson, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;
const MB = 1024 ** 2;

type Inspected = Docker.ContainerInspectInfo;

/** What is to be had of a key: nothing of it, a value, and another value; and what the daemon has to say for each. */
interface Row {
  values: (folder: (name: string) => string) => [added: unknown, changed: unknown];
  seen: (container: Inspected) => unknown;
  expected: (folder: (name: string) => string) => [without: unknown, added: unknown, changed: unknown];
  /** Whether a change leaves the container, and what its kernels have in memory, as it is. */
  staysWhenChanged?: boolean;
}

const binding = ({ NetworkSettings }: Inspected) =>
  Object.values(NetworkSettings.Ports).flatMap((each) =>
    (each ?? []).map(({ HostIp, HostPort }) => `${HostIp}:${HostPort}`),
  );
const mounts = ({ Mounts }: Inspected) =>
  Mounts.filter(({ Destination }) => Destination === "/models").map(({ Source, RW }) => [Source, RW]);
const umask = ({ Config }: Inspected) => Config.Env.filter((each) => each.startsWith("GPUBOX_UMASK="));
const color = ({ Config }: Inspected) => Config.Env.filter((each) => each.startsWith("COLOR="));

const ROWS: Record<string, Row> = {
  port: {
    values: () => [9100, 9101],
    seen: binding,
    expected: () => [["127.0.0.1:8888"], ["127.0.0.1:9100"], ["127.0.0.1:9101"]],
  },
  address: {
    values: () => ["0.0.0.0", "127.0.0.2"],
    seen: binding,
    expected: () => [["127.0.0.1:9001"], ["0.0.0.0:9001"], ["127.0.0.2:9001"]],
  },
  shmSize: {
    values: () => ["64m", "128m"],
    seen: ({ HostConfig }) => HostConfig.ShmSize,
    expected: () => [8192 * MB, 64 * MB, 128 * MB],
  },
  memory: {
    values: () => ["600m", "700m"],
    seen: ({ HostConfig }) => [HostConfig.Memory, HostConfig.MemorySwap],
    expected: () => [
      [0, 0],
      [600 * MB, 600 * MB],
      [700 * MB, 700 * MB],
    ],
    staysWhenChanged: true,
  },
  volumes: {
    values: (folder) => [
      [{ source: folder("one"), target: "/models" }],
      [{ source: folder("two"), target: "/models", readOnly: true }],
    ],
    seen: mounts,
    expected: (folder) => [[], [[folder("one"), true]], [[folder("two"), false]]],
  },
  umask: {
    values: () => ["002", "077"],
    seen: umask,
    expected: () => [[], ["GPUBOX_UMASK=002"], ["GPUBOX_UMASK=077"]],
  },
  environment: {
    values: () => [{ COLOR: "blue" }, { COLOR: "red" }],
    seen: color,
    expected: () => [[], ["COLOR=blue"], ["COLOR=red"]],
  },
};

/** Those that are looked at elsewhere, or that the daemon never hears of. */
const ELSEWHERE = ["name", "gpus", "shareGpus"];

describeWithDaemon("the keys of a notebook", () => {
  let daemon: Daemon;
  let person: Person;
  const names = Object.keys(ROWS);
  const folder = (name: string) => join(person.home, name);
  const inspect = (name: string) => daemon.client.getContainer(name).inspect();
  const ids = async () => Object.fromEntries(await Promise.all(names.map(idOf)));
  const idOf = async (name: string) => [name, (await inspect(name)).Id] as const;

  /** A notebook for each key, which has that key's value of this step and no other. */
  const runs = async (step: 0 | 1 | 2) => {
    const notebooks = names.map((key, index) => {
      const value = step === 0 ? {} : { [key]: ROWS[key]?.values(folder)[step - 1] };
      return { name: key, gpus: "none", ...(key === "port" ? {} : { port: 9000 + index }), ...value };
    });
    person.configure({ image: { target: "lab" }, notebooks });
    const { exitCode, all } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    const seen = await Promise.all(names.map(async (key) => [key, ROWS[key]?.seen(await inspect(key))]));
    const expected = names.map((key) => [key, ROWS[key]?.expected(folder)[step]]);
    expect(Object.fromEntries(seen)).toEqual(Object.fromEntries(expected));
    return all;
  };

  beforeAll(async () => {
    daemon = await startDaemon({ group: String(UID) });
    person = await createPerson({ daemon, uid: UID });
    for (const name of ["one", "two"]) {
      mkdirSync(folder(name));
      chownSync(folder(name), UID, UID);
    }
  });
  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
  });

  it("are all here", () => {
    // biome-ignore lint/suspicious/noExplicitAny: a JSON schema is of any shape
    const schema = stackJsonSchema() as any;
    const keys = Object.keys(schema.properties.config.properties["gpubox:notebooks"].items.properties);
    expect([...names, ...ELSEWHERE].sort()).toEqual(keys.sort());
  });

  it("are added, changed and taken back", async () => {
    await runs(0);
    await runs(1);
    const before = await ids();
    await runs(2);
    const after = await ids();
    const kept = names.filter((key) => before[key] === after[key]);
    expect(kept).toEqual(names.filter((key) => ROWS[key]?.staysWhenChanged));
    await runs(0);
    expect(await runs(0)).toMatch(/^unchanged/m);
  });
});
