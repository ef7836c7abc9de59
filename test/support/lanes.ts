/** The pool of vitest's that runs each test file in a lane of its own. */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { PoolOptions, PoolRunnerInitializer, PoolWorker, WorkerRequest } from "vitest/node";
import { connectLane, endLane, IN_LANE } from "./lane.ts";

/** Variable that holds the number of the lane that a test file is in: from 1 on, and that of no other at the time. */
export const LANE = "GPUBOX_TEST_LANE";

/** Numbers of lanes that are in use. */
const taken = new Set<number>();

class LaneWorker implements PoolWorker {
  readonly name = "lanes";
  readonly cacheFs = true;
  readonly #options: PoolOptions;
  #lane: ChildProcess | undefined;
  #network: ChildProcess | undefined;
  #number = 1;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { distPath, execArgv, env, project } = this.#options;
    while (taken.has(this.#number)) this.#number++;
    taken.add(this.#number);
    const [execPath, ...before] = IN_LANE;
    this.#lane = fork(join(distPath, "workers", "forks.js"), [], {
      execPath,
      execArgv: [...before, process.execPath, ...execArgv],
      env: { ...env, [LANE]: String(this.#number) },
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      serialization: "advanced",
    });
    const { outputStream, errorStream } = project.vitest.logger;
    this.#lane.stdout?.on("data", (text) => outputStream.write(text));
    this.#lane.stderr?.on("data", (text) => errorStream.write(text));
    this.#network = await connectLane(this.#lane);
  }

  async stop(): Promise<void> {
    if (this.#lane) await endLane(this.#lane, this.#network);
    taken.delete(this.#number);
  }

  on(event: string, callback: (argument: unknown) => void): void {
    this.#lane?.on(event, callback);
  }

  off(event: string, callback: (argument: unknown) => void): void {
    this.#lane?.off(event, callback);
  }

  send(message: WorkerRequest): void {
    this.#lane?.send(message);
  }

  deserialize(data: unknown): unknown {
    return data;
  }
}

export const lanes: PoolRunnerInitializer = {
  name: "lanes",
  createPoolWorker: (options) => new LaneWorker(options),
};
