/**
 * Runs constructors against Pulumi's mocks and writes down every resource they register: its inputs, what of
 * them was secret, its parent and its options. Anything unexpected throws: an invoke, or a type that the
 * table below does not know.
 */
import * as pulumi from "@pulumi/pulumi";
import { MockMonitor } from "@pulumi/pulumi/runtime/mocks.js";

/** A resource as it reached the engine. */
export interface Recorded {
  type: string;
  name: string;
  // biome-ignore lint/suspicious/noExplicitAny: inputs are of any shape; the tests say which they expect
  inputs: Record<string, any>;
  /** Names of the inputs that hold a secret, at whatever depth. */
  secrets: string[];
  /** Name of the parent; undefined at the top. */
  parent: string | undefined;
  /** Urn and id of the provider; undefined for the default one. */
  provider: string | undefined;
  deleteBeforeReplace: boolean;
  retainOnDelete: boolean;
  ignoreChanges: string[];
  /** What replaces it when it changes; undefined where nothing does. */
  replacementTrigger: unknown;
  deletedWith: string;
  replaceWith: string[];
  /** Names of the resources it waits for. */
  dependsOn: string[];
}

/** What a script prints. */
function printed(name: string): string {
  if (name.endsWith("-root")) return "/home/ada/docker_mount\n";
  return name.endsWith("-inspection") ? `${JSON.stringify(INSPECTION)}\n` : `${name} done\n`;
}

/** A machine with Docker and without a GPU, as `inspect.sh` says it. */
const INSPECTION = {
  user: "1000:1000",
  docker: { info: { ID: "daemon-1", Architecture: "x86_64" }, containers: [], error: "" },
  driver: { missing: true },
  toolkitHook: false,
  listening: [],
  addresses: null,
  free: { docker: null, root: null },
  python: "3.12.3",
  git: true,
};

/** What the engine would answer: outputs that inputs alone don't give. */
const OUTPUTS: Record<string, (name: string, inputs: Record<string, unknown>) => Record<string, unknown>> = {
  "aws:ebs/volume:Volume": () => ({}),
  "aws:ec2/eip:Eip": (name) => ({ publicIp: "198.51.100.7", allocationId: `${name}-allocation` }),
  "aws:ec2/eipAssociation:EipAssociation": () => ({}),
  "aws:ec2/instance:Instance": () => ({ spotInstanceRequestId: "sir-1" }),
  "aws:ec2/keyPair:KeyPair": (name) => ({ keyName: name }),
  "aws:ec2/securityGroup:SecurityGroup": () => ({}),
  "aws:ec2/volumeAttachment:VolumeAttachment": () => ({}),
  "aws:iam/instanceProfile:InstanceProfile": (name) => ({ name }),
  "aws:iam/role:Role": (name) => ({ name }),
  "aws:iam/rolePolicy:RolePolicy": () => ({}),
  "aws:iam/rolePolicyAttachment:RolePolicyAttachment": () => ({}),
  "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": () => ({}),
  "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": () => ({}),
  "command:local:Command": (name) => ({ stdout: printed(name) }),
  "docker:index/container:Container": () => ({}),
  "docker:index/image:Image": (_name, { imageName }) => ({
    repoDigest: "sha256:built",
    baseImageName: imageName,
  }),
  "docker:index/network:Network": () => ({}),
  "docker:index/remoteImage:RemoteImage": () => ({ imageId: "sha256:pulled" }),
  "docker:index/volume:Volume": () => ({}),
  "pulumi:providers:aws": () => ({}),
  "pulumi:providers:docker": () => ({}),
  "random:index/randomPassword:RandomPassword": (name) => ({ result: `${name}-c0ffee` }),
};

const SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270";

function holdsSecret(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Object.values(value).includes(SECRET_SIGNATURE)) return true;
  return Object.values(value).some(holdsSecret);
}

/** Inputs without the wrapping that marks secrets. */
function unwrap(inputs: Record<string, unknown>): Record<string, unknown> {
  const value = (input: unknown) => (holdsSecret(input) ? (input as { value: unknown }).value : input);
  return Object.fromEntries(Object.entries(inputs).map(([key, input]) => [key, value(input)]));
}

const nameOf = (urn: string) => urn.split("::").at(-1) || undefined;

/** What a program registered, and what it returned. */
export interface Recording<T> {
  resources: Recorded[];
  warnings: string[];
  result: T;
}

/** Answers to invokes by token; one that throws is an invoke that fails. */
export type Invokes = Record<string, (args: Record<string, unknown>) => Record<string, unknown>>;

/** Runs `program` and records it. Fails as the program does. */
export async function record<T>(program: () => T | Promise<T>, invokes: Invokes = {}): Promise<Recording<T>> {
  const resources: Recorded[] = [];
  const warnings: string[] = [];
  const monitor = MockMonitor.prototype as unknown as Record<string, (...args: unknown[]) => unknown>;
  const register = monitor.registerResource as (...args: unknown[]) => unknown;
  const warn = pulumi.log.warn;
  // biome-ignore lint/suspicious/noExplicitAny: the request is a protobuf message without types
  monitor.registerResource = function (req: any, callback: unknown) {
    const inputs = req.getObject().toJavaScript();
    resources.push({
      type: req.getType(),
      name: req.getName(),
      inputs: unwrap(pulumi.runtime.deserializeProperties(req.getObject())),
      secrets: Object.keys(inputs).filter((key) => holdsSecret(inputs[key])),
      parent: nameOf(req.getParent()),
      provider: req.getProvider() || undefined,
      deleteBeforeReplace: req.getDeletebeforereplace(),
      retainOnDelete: req.getRetainondelete(),
      ignoreChanges: req.getIgnorechangesList(),
      replacementTrigger: req.getReplacementTrigger()?.toJavaScript(),
      deletedWith: req.getDeletedwith(),
      replaceWith: req.getReplaceWithList(),
      dependsOn: req.getDependenciesList().map(nameOf),
    });
    return register.call(this, req, callback);
  };
  Object.assign(pulumi.log, { warn: async (message: string) => void warnings.push(message) });
  try {
    await pulumi.runtime.setMocks(
      {
        call: ({ token, inputs }) => {
          const answer = invokes[token];
          if (!answer) throw new Error(`unexpected invoke of ${token}`);
          return answer(inputs);
        },
        newResource: ({ type, name, inputs, custom }) => {
          if (custom === false) return { id: undefined, state: inputs };
          const outputs = OUTPUTS[type];
          if (!outputs) throw new Error(`unexpected resource ${name} of type ${type}`);
          return { id: `${name}-id`, state: { ...unwrap(inputs), ...outputs(name, inputs) } };
        },
      },
      "gpubox",
      "dev",
    );
    const result = await program();
    await pulumi.runtime.disconnect();
    return { resources, warnings, result };
  } finally {
    monitor.registerResource = register as (typeof monitor)[string];
    Object.assign(pulumi.log, { warn });
  }
}

/** The one resource of that type and name. @throws when there is none, or several */
export function only(resources: Recorded[], type: string, name?: string): Recorded {
  const found = resources.filter((resource) => resource.type === type && (!name || resource.name === name));
  if (found.length !== 1) {
    throw new Error(
      `expected one ${type} ${name ?? ""}, found ${found.length}: ${resources.map((r) => `${r.type} ${r.name}`).join(", ")}`,
    );
  }
  return found[0] as Recorded;
}

/** The value of an output. */
export function resolved<T>(output: pulumi.Output<T>): Promise<T> {
  return new Promise((resolve) => output.apply(resolve));
}
