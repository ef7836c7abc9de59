import type Docker from "dockerode";
import type { Resource } from "../shared/provider.ts";
import type { Properties } from "../shared/values.ts";
import { type ContainerInputs, containerSpec, megabytes } from "./container-spec.ts";
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
      return { id, finish: () => finish(daemon(), daemon().getContainer(id), inputs) };
    },
    async read(id, state) {
      const container = await found(daemon().getContainer(id).inspect());
      return container && containerState(container, state);
    },
    async update(id, state, planned, changed) {
      const container = daemon().getContainer(id);
      if (!state.mustRun) await start(container, planned.name);
      if (!updatable.some((property) => changed.has(property))) return;
      await doing(
        `updating container ${planned.name}`,
        container.update({
          RestartPolicy: { Name: planned.restart, MaximumRetryCount: 0 },
          Memory: (planned.memory ?? 0) * megabytes,
          MemorySwap: (planned.memorySwap ?? 0) * megabytes,
        }),
      );
    },
    delete: (id, state) => remove(daemon().getContainer(id), state),
  });
}

/** Everything between a created container and one that is as it was asked for. */
async function finish(docker: Docker, container: Docker.Container, inputs: ContainerInputs): Promise<void> {
  if (inputs.networksAdvanced?.length) await joinNetworks(docker, container.id, inputs.networksAdvanced);
  await start(container, inputs.name);
}

async function joinNetworks(docker: Docker, id: string, networks: { name: string }[]): Promise<void> {
  try {
    await docker.getNetwork("bridge").disconnect({ Container: id });
  } catch (error) {
    if (!reason(error).includes("is not connected to")) throw error;
  }
  for (const { name } of networks)
    await doing(`connecting to network ${name}`, docker.getNetwork(name).connect({ Container: id }));
}

async function start(container: Docker.Container, name: string): Promise<void> {
  try {
    await container.start();
  } catch (error) {
    if (statusOf(error) !== 304)
      throw new Error(`starting container ${name}: ${reason(error)}`, { cause: error });
  }
}

async function remove(container: Docker.Container, state: Properties): Promise<void> {
  try {
    // Without grace this is a kill: the container's own stopTimeout does not count here.
    await container.stop({ t: Number(state.destroyGraceSeconds ?? 0) });
  } catch (error) {
    if (statusOf(error) !== 404 && statusOf(error) !== 304) throw error;
  }
  try {
    await container.remove({ v: true, force: true });
  } catch (error) {
    if (statusOf(error) !== 404 && !reason(error).includes("is already in progress")) throw error;
  }
  await found(container.wait({ condition: "removed" }));
}
