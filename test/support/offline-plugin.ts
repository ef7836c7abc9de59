import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import structMessages from "google-protobuf/google/protobuf/struct_pb.js";

/** A stand-in plugin, started the way the engine starts it. */
export interface RunningPlugin {
  process: ChildProcess;
  /** Where it listens. */
  address: string;
  /** Lines it printed after the port. */
  output: string[];
  /** Says goodbye as the engine does, and waits. */
  stop(): Promise<void>;
}

/** Starts `offline/plugins/NAME/pulumi-NAME`, or the program `path`, as the child of a (possibly pretended) engine. */
export async function startPlugin(
  name: string,
  {
    engine = "127.0.0.1:1",
    env = {},
    path = fileURLToPath(new URL(`../../offline/plugins/${name}/pulumi-${name}`, import.meta.url)),
  }: { engine?: string; env?: Record<string, string>; path?: string } = {},
): Promise<RunningPlugin> {
  const child = spawn(path, [engine], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...env },
    detached: true,
  });
  const output: string[] = [];
  const lines = createInterface({ input: child.stdout as Readable });
  const [port] = (await once(lines, "line")) as [string];
  lines.on("line", (line) => output.push(line));
  return {
    process: child,
    address: `127.0.0.1:${port}`,
    output,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "close");
      child.kill("SIGINT");
      await ended;
    },
  };
}

/** Calls one method of a plugin: `call(client, "create", request)`. */
export function call<Response>(client: grpc.Client, method: string, request: unknown): Promise<Response> {
  return new Promise((resolve, reject) => {
    const methods = client as unknown as Record<
      string,
      (request: unknown, callback: (error: grpc.ServiceError | null, response: Response) => void) => void
    >;
    methods[method]?.call(client, request, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

/** Plain values as a message, and back. */
export const struct = (values: Record<string, unknown>) =>
  structMessages.Struct.fromJavaScript(values as Parameters<typeof structMessages.Struct.fromJavaScript>[0]);

/** Serves a pretended engine or monitor; returns its address and how to stop it. */
export async function serveLoopback(
  service: grpc.ServiceDefinition,
  methods: grpc.UntypedServiceImplementation,
): Promise<{ address: string; stop(): void }> {
  const server = new grpc.Server();
  server.addService(service, methods);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { address: `127.0.0.1:${port}`, stop: () => server.forceShutdown() };
}

/** False also for a process that has ended and only waits for somebody to take note of it. */
export function isRunning(pid: number): boolean {
  const state = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).stdout;
  return state !== "" && !state.startsWith("Z");
}
