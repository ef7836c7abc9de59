/** moto: a server with AWS's interface and nothing behind it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { pythonPackages } from "../../scripts/python-packages.ts";

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
      PYTHONPATH: await pythonPackages("moto", readFileSync(requirements, "utf8")),
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
