/** moto: a server with AWS's interface and nothing behind it. Its packages come from PyPI and stay in the cache. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { createContext } from "../../cli/context.ts";
import { dropOlder } from "./cache.ts";

/** A server that runs. */
export interface Moto {
  /** Its address, on the loopback. */
  url: string;
  stop(): Promise<void>;
}

const requirements = fileURLToPath(new URL("moto.txt", import.meta.url));

/** Starts a server that knows no images but those in the file `images` (moto's MOTO_AMIS_PATH). */
export async function startMoto(images: string): Promise<Moto> {
  const child = spawn("python3", ["-m", "moto.server", "--host", "127.0.0.1", "--port", "0"], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      PATH: process.env.PATH,
      PYTHONPATH: await packages(),
      PYTHONUNBUFFERED: "1",
      MOTO_AMIS_PATH: images,
      MOTO_ENABLE_AMI_VALIDATION: "true",
      MOTO_ENABLE_KEYPAIR_VALIDATION: "true",
      MOTO_IAM_LOAD_MANAGED_POLICIES: "true",
      MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION: "true",
    },
  });
  const exited = once(child, "exit");
  const said: string[] = [];
  const lines = createInterface({ input: child.stderr });
  const url = await new Promise<string>((resolve, reject) => {
    lines.on("line", (line) => {
      said.push(line);
      const [, address] = /Running on (http:\S+)/.exec(line) ?? [];
      if (address) resolve(address);
    });
    child.on("error", reject);
    exited.then(() => reject(new Error(`moto did not start:\n${said.slice(-15).join("\n")}`)), reject);
  });
  return {
    url,
    async stop() {
      child.kill("SIGTERM");
      await exited;
    },
  };
}

/** The folder of moto's packages, installed where they are not there yet. */
async function packages(): Promise<string> {
  const { cache } = createContext();
  const { stdout: python } = await execa("python3", ["--version"]);
  const wanted = createHash("sha256").update(python).update(readFileSync(requirements)).digest("hex");
  const folder = join(cache, `moto-${wanted.slice(0, 12)}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  // Moved into place when it is whole: an install that was killed is never taken for one.
  const fresh = mkdtempSync(`${folder}.`);
  try {
    const pip = [
      "-m",
      "pip",
      "install",
      "--quiet",
      "--disable-pip-version-check",
      "--root-user-action=ignore",
    ];
    await execa("python3", [...pip, "--target", fresh, "--require-hashes", "--requirement", requirements]);
    await dropOlder(cache, /^moto-[0-9a-f]+$/);
    renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}
