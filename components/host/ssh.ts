/** A machine that the person reaches by SSH as a host: its Docker daemon, and the folders of the person there. */
import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { RegistryAuth } from "../../machine/docker/registry-login.ts";
import type { GpuInventory } from "../../machine/gpus.ts";
import type { Machine, RunsAs } from "../../machine/inspection.ts";
import { OWNER_LABEL } from "../../machine/owner.ts";
import { lastLine, selfContained } from "../../machine/scripts.ts";
import {
  dockerUrl,
  forgivingScript,
  personCommand,
  type SshConnection,
  scriptOnMachine,
  sshOptions,
  tunnelCommand,
} from "../../machine/ssh/command.ts";
import type { DockerHost, HostRun, HostScriptArgs } from "./host.ts";
import { registries } from "./registries.ts";
import { stackOwner } from "./stack-owner.ts";

/** What an `SshHost` is made from. All of it may be known only once a machine was made. */
export interface SshHostArgs {
  connection: pulumi.Input<SshConnection>;
  /** Folder there that holds `code/` and `data/`; may start with `~/`. */
  root: string;
  /** `<project>/<stack>`: the label on everything the stack owns. */
  stack: string;
  /** The owner of what the stack has already, if it has anything; see owner.ts. */
  owner?: string;
  /** The login that the image is pulled with, where there is one. */
  registryAuth?: RegistryAuth;
  /** What was found out about the machine. */
  machine: pulumi.Input<Machine>;
  /** Whether it has the Python that the data program takes: known before there is a machine. */
  hasPython: boolean;
  /** What ties Docker resources to the life of a machine that the stack made itself. */
  lifetime?: DockerHost["lifetime"];
}

/**
 * A machine reached by SSH.
 *
 * Docker resources are not removed one by one when the stack goes: they are deleted with the machine's own entry, which
 * removes what carries the stack's labels, or, where the machine does not answer, says what it left there.
 */
export class SshHost extends pulumi.ComponentResource implements DockerHost {
  readonly provider: docker.Provider;
  readonly id: pulumi.Output<string>;
  /** Its notebooks are on its loopback, which the tunnel brings here. */
  readonly address = pulumi.output("127.0.0.1");
  readonly root: pulumi.Output<string>;
  readonly runsAs: pulumi.Output<RunsAs>;
  readonly home: pulumi.Output<string | undefined>;
  readonly platform: pulumi.Output<string>;
  readonly gpus: pulumi.Output<GpuInventory>;
  readonly hasPython: boolean;
  readonly owner: pulumi.Output<string>;
  readonly lifetime: DockerHost["lifetime"];
  readonly #connection: pulumi.Output<SshConnection>;

  constructor(name: string, args: SshHostArgs, opts?: pulumi.ComponentResourceOptions) {
    super("gpubox:host:SshHost", name, {}, opts);
    const child = { parent: this };
    const machine = pulumi.output(args.machine);
    this.#connection = pulumi.output(args.connection);
    this.id = machine.id;
    this.runsAs = machine.runsAs;
    this.home = machine.apply(({ home }) => home);
    this.platform = machine.platform;
    this.gpus = machine.gpus;
    this.hasPython = args.hasPython;

    this.owner = stackOwner(name, args.owner, child);
    this.lifetime = args.lifetime ?? this.#tieToMachine(`${name}-machine`, args.stack);
    this.provider = new docker.Provider(
      `${name}-docker`,
      {
        host: this.#connection.apply(dockerUrl),
        sshOpts: this.#connection.apply(sshOptions),
        ...registries(args.registryAuth),
      },
      child,
    );
    this.root = this.run(
      `${name}-root`,
      { script: "prepare.sh", environment: { ROOT: args.root } },
      child,
    ).result;
    this.registerOutputs({ root: this.root });
  }

  /** Ties resources to an entry that makes nothing and, when it is deleted, takes along what the stack has on the Docker daemon. */
  #tieToMachine(name: string, stack: string): DockerHost["lifetime"] {
    const { owner } = this;
    const left = pulumi.all([this.#connection, owner]).apply(([{ address }, id]) => [
      `${address} does not answer, so what stack ${stack} has there stays, and is forgotten here. To remove it once ${address} is back, run there:`,
      ...["ps -aq|rm -fv", "network ls -q|network rm", "volume ls -q|volume rm"].map((pair) => {
        const [list, remove] = pair.split("|");
        return `  docker ${list} --filter label=${OWNER_LABEL}=${id} | xargs -r docker ${remove}`;
      }),
      "If it is gone for good, there is nothing to do.",
    ]);
    const entry = new command.local.Command(
      name,
      {
        stdin: scriptWith("teardown.sh", { STACK: stack, OWNER: owner, DAEMON: this.id }),
        interpreter: ["/bin/sh", "-c"],
        delete: pulumi.all([this.#connection, left]).apply(([to, lines]) => forgivingScript(to, lines)),
        triggers: [this.id, owner],
      },
      { parent: this },
    );
    return { deletedWith: entry, replaceWith: [entry] };
  }

  run(name: string, args: HostScriptArgs, opts: pulumi.ComponentResourceOptions): HostRun {
    const onDelete = args.on === "delete";
    const resource = new command.local.Command(
      name,
      {
        stdin: scriptWith(args.script, args.environment),
        interpreter: ["/bin/sh", "-c"],
        // A replacement deletes as well, and what runs on delete must run only when its entry is gone: no triggers.
        ...(onDelete
          ? {
              delete: pulumi
                .all([this.#connection, pulumi.all(args.environment)])
                .apply(([to, environment]) => forgivingScript(to, [notRun(to, args.script, environment)])),
            }
          : {
              create: pulumi
                .all([this.#connection, args.environment.TIMEOUT])
                .apply(([to, TIMEOUT]) => scriptOnMachine(to, args.script, { TIMEOUT })),
              triggers: [this.id, ...(args.triggers ?? [])],
            }),
      },
      opts,
    );
    return { resource, result: resource.stdout.apply(lastLine) };
  }

  dockerCommand(args: string): pulumi.Output<string> {
    const terminal = args.startsWith("exec -it ") ? ["-t"] : [];
    return this.#connection.apply((to) => personCommand(to, `docker ${args}`, terminal));
  }

  tunnelCommand(ports: number[]): pulumi.Output<string> {
    return this.#connection.apply((to) =>
      tunnelCommand(
        to,
        ports.map((port) => [port, port] as const),
      ),
    );
  }
}

/** Like `selfContained`, with parameters that may be known later. */
export function scriptWith(
  script: HostScriptArgs["script"],
  environment: HostScriptArgs["environment"],
): pulumi.Output<string> {
  return pulumi.all(environment).apply((known) => selfContained(script, known));
}

function notRun({ address }: SshConnection, script: string, environment: Record<string, string>): string {
  const about = Object.entries(environment).flatMap(([key, value]) => (value ? [`${key}=${value}`] : []));
  return `${address} does not answer, so ${script} did not run there (${about.join(", ")}): what it is about stays as it is`;
}
