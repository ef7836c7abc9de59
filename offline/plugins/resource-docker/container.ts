import { setTimeout as after } from "node:timers/promises";
import type Docker from "dockerode";
import tarFs from "tar-fs";
import type { Operation, Resource } from "../shared/provider.ts";
import type { Properties } from "../shared/values.ts";
import { type ContainerInputs, containerSpec, megabytes, swapBytes, type Upload } from "./container-spec.ts";
import { containerState } from "./container-state.ts";
import { containerOutputs, containerTable, updatable } from "./container-table.ts";
import { doing, found, reason, statusOf } from "./docker.ts";
import { ensureImage } from "./pull.ts";
import { type Daemon, tableResource } from "./resource.ts";

/** docker.Container. */
export function containerResource(daemon: Daemon): Resource {
  return tableResource<ContainerInputs>({
    table: containerTable,
    outputs: containerOutputs,
    deleteBeforeReplace: true,
    check: ({ gpus, deviceRequests }) =>
      gpus && deviceRequests
        ? [{ property: "gpus", reason: "conflicts with deviceRequests: give one of the two" }]
        : [],
    async create(inputs, operation) {
      await ensureImage(daemon(), inputs.image, operation);
      const { id } = await doing(
        `creating container ${inputs.name}`,
        // In the body alone: the client would put the whole specification, secrets included, into the URL as well.
        daemon().createContainer({
          _query: { name: inputs.name },
          _body: containerSpec(inputs),
        } as Docker.ContainerCreateOptions),
      );
      return { id, finish: () => finish(daemon(), daemon().getContainer(id), inputs, operation) };
    },
    async read(id, state) {
      const container = await found(daemon().getContainer(id).inspect());
      return container && containerState(container, state);
    },
    async update(id, state, planned, changed) {
      const container = daemon().getContainer(id);
      if (!state.mustRun && planned.mustRun && planned.start) await start(container, planned.name);
      if (!updatable.some((property) => changed.has(property))) return;
      await doing(
        `updating container ${planned.name}`,
        container.update({
          RestartPolicy: { Name: planned.restart, MaximumRetryCount: 0 },
          Memory: (planned.memory ?? 0) * megabytes,
          CpusetCpus: planned.cpuSet ?? "",
          MemorySwap: swapBytes(planned.memorySwap) ?? 0,
        }),
      );
    },
    delete: (id, state) => remove(daemon().getContainer(id), state),
  });
}

/** Everything between a created container and one that is as it was asked for. */
async function finish(
  docker: Docker,
  container: Docker.Container,
  inputs: ContainerInputs,
  { signal }: Operation,
): Promise<Properties | undefined> {
  if (inputs.networksAdvanced?.length) await joinNetworks(docker, container.id, inputs.networksAdvanced);
  for (const upload of inputs.uploads ?? [])
    await doing(
      `uploading ${upload.file} to ${inputs.name}`,
      container.putArchive(uploadArchive(upload), { path: "/" }),
    );
  if (inputs.start) {
    await start(container, inputs.name);
    if (inputs.wait) await untilHealthy(container, inputs, signal);
  }
  return inputs.attach ? await untilEnded(container, inputs.logs) : undefined;
}

async function joinNetworks(
  docker: Docker,
  id: string,
  networks: { name: string; aliases?: string[] }[],
): Promise<void> {
  try {
    await docker.getNetwork("bridge").disconnect({ Container: id });
  } catch (error) {
    if (!reason(error).includes("is not connected to")) throw error;
  }
  for (const { name, aliases = [] } of networks)
    await doing(
      `connecting to network ${name}`,
      docker.getNetwork(name).connect({ Container: id, EndpointConfig: { Aliases: aliases } }),
    );
}

async function start(container: Docker.Container, name: string): Promise<void> {
  try {
    await container.start();
  } catch (error) {
    if (statusOf(error) !== 304)
      throw new Error(`starting container ${name}: ${reason(error)}`, { cause: error });
  }
}

async function untilHealthy(
  container: Docker.Container,
  inputs: ContainerInputs,
  signal: AbortSignal,
): Promise<void> {
  const deadline = Date.now() + inputs.waitTimeout * 1000;
  for (;;) {
    const { State: state } = await container.inspect();
    if (state.Health === undefined)
      throw new Error(`container ${inputs.name} has no healthcheck: give it one, or leave out wait`);
    if (state.Health.Status === "healthy") return;
    if (Date.now() >= deadline) {
      const last = state.Health.Log?.at(-1)?.Output.trim();
      throw new Error(
        `container ${inputs.name} failed to be in healthy state within ${inputs.waitTimeout} s: it is ${state.Status}` +
          `${state.Running ? "" : ` (exit code ${state.ExitCode})`}, ${state.Health.Status}` +
          `${last ? `; its last check said: ${last}` : ""}; \`docker logs ${inputs.name}\` shows what it does`,
      );
    }
    await after(Math.min(1000, deadline - Date.now()), undefined, { signal });
  }
}

/** Waits for a one-shot container; its output is only kept on request. */
async function untilEnded(container: Docker.Container, logs: boolean): Promise<Properties | undefined> {
  await container.wait();
  if (!logs) return undefined;
  const output = await container.logs({ stdout: true, stderr: true });
  return { containerLogs: withoutFrames(output) };
}

/** The text of a log in which each piece is preceded by a header of 8 bytes: stream, three zeros, length. */
function withoutFrames(log: Buffer): string {
  const pieces: Buffer[] = [];
  for (let at = 0; at + 8 <= log.length; ) {
    const end = at + 8 + log.readUInt32BE(at + 4);
    pieces.push(log.subarray(at + 8, end));
    at = end;
  }
  return Buffer.concat(pieces).toString();
}

async function remove(container: Docker.Container, state: Properties): Promise<void> {
  if (!state.attach) {
    try {
      // Without grace this is a kill: the container's own stopTimeout does not count here.
      await container.stop({ t: Number(state.destroyGraceSeconds ?? 0) });
    } catch (error) {
      if (statusOf(error) !== 404 && statusOf(error) !== 304) throw error;
    }
  }
  try {
    await container.remove({ v: state.removeVolumes !== false, force: true });
  } catch (error) {
    if (statusOf(error) !== 404 && !reason(error).includes("is already in progress")) throw error;
  }
  await found(container.wait({ condition: "removed" }));
}

function uploadArchive({
  file,
  content = "",
  contentBase64,
  executable,
  permissions,
}: Upload): NodeJS.ReadableStream {
  const bytes = contentBase64 ? Buffer.from(contentBase64, "base64") : Buffer.from(content);
  const mode = permissions ? Number.parseInt(permissions, 8) : executable ? 0o744 : 0o644;
  return tarFs.pack("/", {
    entries: [],
    finalize: false,
    finish: (pack) => {
      pack.entry({ name: file, mode }, bytes);
      pack.finalize();
    },
  });
}
