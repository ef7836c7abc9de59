import { readConfig } from "../../config/load.ts";
import { askDocker, dockerClient } from "../../machine/docker/api.ts";
import { TYPE } from "../../machine/resource-types.ts";
import type { ContainerInputs, State } from "../pulumi/checkpoint.ts";
import type { Session } from "../pulumi/session.ts";
import { step } from "../ui/say.ts";
import { stopping } from "./on-daemon.ts";

/** A notebook's name and port. */
interface Place {
  name: string;
  port: number;
}

/** A container that has a port which the configuration gives to another notebook. */
export interface InTheWay extends Place {
  id: string;
  /** The other notebook. */
  heir: string;
}

/** The containers of a stack whose ports other notebooks are to have. Pure. */
export function findInTheWay({ deployment }: Pick<State, "deployment">, notebooks: Place[]): InTheWay[] {
  return (deployment.resources ?? []).flatMap((resource) => {
    if (resource.type !== TYPE.container || !resource.id) return [];
    const { name, ports: [{ external: port } = { external: 0 }] = [] } =
      resource.inputs as unknown as ContainerInputs;
    const heir = notebooks.find((each) => each.port === port && each.name !== name);
    return heir ? [{ id: resource.id, name, port, heir: heir.name }] : [];
  });
}

/**
 * Stops the containers that have a port which another notebook is to have: what has left the configuration the engine removes last, and
 * a port that is taken keeps a container from starting. What is lost by it the person has agreed to.
 *
 * @param args for the engine. A refresh forgets what is stopped, so what it is to find then must be gone
 */
export async function makeWay(session: Session, state: State, args: string[]): Promise<void> {
  const { context, stack, docker } = session;
  if (!docker) return;
  const inTheWay = findInTheWay(state, readConfig(context.root, stack).notebooks);
  if (inTheWay.length === 0) return;
  const running = (await askDocker<{ Id: string }[]>(docker.host, "/containers/json")) ?? [];
  const client = dockerClient(docker.host);
  for (const { id, name, port, heir } of inTheWay.filter((each) =>
    running.some(({ Id }) => Id === each.id),
  )) {
    const stop = async () => {
      const container = client.getContainer(id);
      await container.stop();
      if (args.includes("--refresh")) await container.remove();
    };
    await step(`${name}: stopping it, because port ${port} now belongs to ${heir}`, () =>
      stopping(docker.host, stack, name, stop),
    );
  }
}
