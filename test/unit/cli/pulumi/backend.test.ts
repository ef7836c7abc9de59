import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createContext } from "../../../../cli/context.ts";
import {
  backendFolder,
  chooseBackend,
  createPassphrase,
  prepareBackend,
} from "../../../../cli/pulumi/backend.ts";

let folder: string;
let said: string;
beforeEach(() => {
  said = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += text;
    return true;
  });
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const mode = (path: string) => statSync(path).mode & 0o777;
const contextWith = (env: Record<string, string> = {}) =>
  createContext({ HOME: folder, PULUMI_HOME: join(folder, "pulumi"), ...env });

describe("the backend", () => {
  const login = (url: string) => {
    mkdirSync(join(folder, "pulumi"));
    writeFileSync(join(folder, "pulumi", "credentials.json"), JSON.stringify({ current: url }));
  };

  it("is a folder of the person's own by default", () => {
    expect(chooseBackend(contextWith())).toEqual({ url: `file://${folder}/.gpubox/state`, from: "gpubox" });
  });
  it("is where the person has logged in", () => {
    login("s3://states");
    expect(chooseBackend(contextWith())).toEqual({ url: "s3://states", from: "login" });
  });
  it("is where the person has logged in, wherever the engine is told to keep that", () => {
    login("s3://states");
    const context = contextWith({ PULUMI_HOME: folder, PULUMI_CREDENTIALS_PATH: join(folder, "pulumi") });
    expect(chooseBackend(context)).toEqual({ url: "s3://states", from: "login" });
  });
  it("is what the environment says, whatever the login", () => {
    login("s3://states");
    const context = contextWith({ PULUMI_BACKEND_URL: "file:///srv/state" });
    expect(chooseBackend(context)).toEqual({ url: "file:///srv/state", from: "environment" });
  });
  it("is Pulumi Cloud where there is only a token", () => {
    expect(chooseBackend(contextWith({ PULUMI_ACCESS_TOKEN: "t" })).from).toBe("login");
  });
  it("is not what credentials of nobody say, or broken ones", () => {
    login("");
    expect(chooseBackend(contextWith()).from).toBe("gpubox");
    writeFileSync(join(folder, "pulumi", "credentials.json"), "{");
    expect(chooseBackend(contextWith()).from).toBe("gpubox");
  });
});

describe("the folder of a backend", () => {
  it.each([
    ["file:///srv/state", "/srv/state"],
    ["file://~", "/home/me"],
    ["file://~/states?no_tmp_dir=true", "/home/me/states"],
    ["s3://bucket", undefined],
    ["https://api.pulumi.com", undefined],
  ])("of %s is %s", (url, path) => {
    expect(backendFolder(url, "/home/me")).toBe(path);
  });
});

describe("making a backend ready", () => {
  it("makes folders and a passphrase that only their owner can read, once", () => {
    const context = contextWith();
    const first = prepareBackend(context);
    const passphrase = join(folder, ".gpubox", "passphrase");
    expect(first.env).toEqual({
      PULUMI_BACKEND_URL: `file://${folder}/.gpubox/state`,
      PULUMI_CONFIG_PASSPHRASE_FILE: passphrase,
    });
    expect(mode(join(folder, ".gpubox"))).toBe(0o700);
    expect(mode(join(folder, ".gpubox", "state"))).toBe(0o700);
    expect(mode(passphrase)).toBe(0o600);
    const text = readFileSync(passphrase, "utf8");
    expect(text.trim()).toMatch(/^[A-Za-z0-9_-]{43}$/);
    // What was made is said once, and the passphrase itself never.
    expect(said.split("\n").map((line) => line.split(":")[0])).toEqual([
      join(folder, ".gpubox"),
      join(folder, ".gpubox", "state"),
      passphrase,
      "",
    ]);
    expect(said).not.toContain(text.trim());
    said = "";
    expect(prepareBackend(context)).toEqual(first);
    expect(said).toBe("");
    expect(readFileSync(passphrase, "utf8")).toBe(text);
  });

  it("leaves a passphrase that is given alone", () => {
    expect(prepareBackend(contextWith({ PULUMI_CONFIG_PASSPHRASE: "" })).env).not.toHaveProperty(
      "PULUMI_CONFIG_PASSPHRASE_FILE",
    );
    expect(prepareBackend(contextWith({ PULUMI_CONFIG_PASSPHRASE_FILE: "/p" })).env).not.toHaveProperty(
      "PULUMI_CONFIG_PASSPHRASE_FILE",
    );
  });

  it("adds nothing for a backend that is shared", () => {
    expect(prepareBackend(contextWith({ PULUMI_BACKEND_URL: "s3://states" })).env).toEqual({});
  });

  it("refuses to make another passphrase for state that is there", () => {
    mkdirSync(join(folder, ".gpubox", "state", ".pulumi", "stacks", "gpubox"), { recursive: true });
    expect(() => prepareBackend(contextWith())).toThrow(/passphrase.*restore .*\.gpubox\/passphrase/);
    expect(readdirSync(join(folder, ".gpubox"))).toEqual(["state"]);
  });

  it("lets the engine ask for the passphrase of the person's own folder of states", () => {
    mkdirSync(join(folder, "mine", ".pulumi", "stacks", "gpubox"), { recursive: true });
    expect(prepareBackend(contextWith({ PULUMI_BACKEND_URL: `file://${folder}/mine` })).env).toEqual({});
  });
});

describe("making a passphrase", () => {
  it("lets one of many at once make it, and keeps theirs", async () => {
    const path = join(folder, "passphrase");
    const program = `import { createPassphrase } from ${JSON.stringify(join(import.meta.dirname, "../../../../cli/pulumi/backend.ts"))};
      process.stdout.write(String(createPassphrase(${JSON.stringify(path)})));`;
    const one = () =>
      promisify(execFile)(process.execPath, ["--input-type=module-typescript", "-e", program]);
    const results = await Promise.all(Array.from({ length: 6 }, one));
    expect(results.filter(({ stdout }) => stdout === "true")).toHaveLength(1);
    const text = readFileSync(path, "utf8");
    expect(createPassphrase(path)).toBe(false);
    expect(readFileSync(path, "utf8")).toBe(text);
    expect(readdirSync(folder)).toEqual(["passphrase"]);
  });
});
