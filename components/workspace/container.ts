/** What a notebook's container is given, part by part. Pure. */
import { createHash } from "node:crypto";
import type * as docker from "@pulumi/docker";
import type * as pulumi from "@pulumi/pulumi";
import type { ImageConfig, NotebookConfig } from "../../config/schema.ts";
import type { RunsAs } from "../../machine/inspection.ts";
import { hasOwnUser } from "../../machine/names.ts";
import { MADE_BY_LABEL } from "../../machine/owner.ts";

/** Home folder in every container; see the Dockerfile. One of an image that is pulled and runs as its own user has its own. */
export const HOME = "/home/jupyter";

/** How long Jupyter may take to save and to stop its kernels before it is killed, in seconds. */
const STOP_TIMEOUT = 20;

/**
 * Health as Docker shows it. `up` does not wait for it (it asks Jupyter itself, and sooner), so the interval
 * can be a lazy one: a check starts a process in the container.
 */
const health = {
  tests: [
    "CMD-SHELL",
    // Never by way of a proxy that `environment` names. busybox' wget knows of none but those in the environment.
    `unset http_proxy HTTP_PROXY all_proxy ALL_PROXY; url="http://127.0.0.1:$JUPYTER_PORT/api"; curl -fsS --noproxy '*' -o /dev/null "$url" || wget -q -O /dev/null "$url"`,
  ],
  interval: "30s",
  timeout: "10s",
  startPeriod: "2m0s",
  retries: 3,
};

/**
 * What gpubox keeps beside the person's files, by the host's scripts: downloads, clones, locks, recorded hashes. A notebook sees an
 * empty folder in its place that nobody can write to, or it could have those scripts write through links of its own to any file
 * of the person's. It is hidden rather than moved: what is whole there gets its place by a rename, on one disk. The folders
 * themselves are made by prepare.sh.
 */
export const HIDDEN = ["/code/.gpubox", "/data/.gpubox"];

/** What is the same for every notebook; docs/by-hand.md says why each is there. */
export const constants = {
  tmpfs: Object.fromEntries(HIDDEN.map((path) => [path, "ro,size=4k,mode=0555"])),
  // A process 1 that reaps: kernels start processes that outlive them.
  init: true,
  healthcheck: health,
  restart: "unless-stopped",
  stopTimeout: STOP_TIMEOUT,
  // Without it a delete is an immediate SIGKILL, whatever stopTimeout says.
  destroyGraceSeconds: STOP_TIMEOUT,
  logDriver: "json-file",
  logOpts: { "max-size": "10m", "max-file": "3" },
} satisfies Partial<docker.ContainerArgs>;

/** Starts the Jupyter of an image we know nothing of, such as the one of streaminterrupt/fastai with its conda environment `fastai`. */
const pulledCommand = [
  "bash",
  "-c",
  [
    "for bin in /opt/conda/bin ~/anaconda3/bin ~/miniconda3/bin /root/anaconda3/bin; do",
    '  if [ -d "$bin" ]; then PATH=$PATH:$bin; fi',
    "done",
    "source activate fastai 2>/dev/null",
    "if command -v jupyter-lab >/dev/null; then server=lab; else server=notebook; fi",
    'exec jupyter "$server" --ip=0.0.0.0 --port="$JUPYTER_PORT" --no-browser --allow-root',
  ].join("\n"),
];

/** Labels as the provider takes them. */
export function labelList(
  labels: Record<string, pulumi.Input<string>>,
): { label: string; value: pulumi.Input<string> }[] {
  return Object.entries(labels).map(([label, value]) => ({ label, value }));
}

/**
 * What never changes of what outlives its container: a stack that was made before there were owners, or that is renamed, would
 * have its volumes replaced, and what is in them lost.
 */
export const LASTING = ["name", "labels"];

/** Labels of what outlives its container: people find out from it whose it is. */
export function lastingLabels(labels: Record<string, pulumi.Input<string>>, madeBy: string) {
  return labelList({ ...labels, [MADE_BY_LABEL]: madeBy });
}

/** A folder of the host as a container has it. */
export type Bind = docker.types.input.ContainerMount & { type: "bind"; source: string };

/**
 * The folders of the host that a container has. As mounts and not as volumes (`-v`), for which Docker makes what is not there,
 * empty and owned by root: where a disk is not mounted, the container does not start, after a reboot as well.
 *
 * @param root of the stack, on the host
 */
export function binds(root: string, { volumes }: Pick<NotebookConfig, "volumes">): Bind[] {
  const bind = (source: string, target: string, readOnly?: boolean): Bind => ({
    type: "bind",
    source,
    target,
    readOnly,
  });
  return [
    bind(`${root}/code`, "/code"),
    bind(`${root}/data`, "/data"),
    ...volumes.map(({ source, target, readOnly }) => bind(source, target, readOnly)),
  ];
}

/**
 * A label whose value follows what the provider would report as updated and not apply; a changed label replaces the container.
 * A limit of memory can be changed and not be taken back, as 0 means "no change" to the daemon: so whether there is one.
 */
export function unappliedLabel(
  mounts: Bind[],
  { memory }: Pick<NotebookConfig, "memory">,
  { init, healthcheck, tmpfs }: Partial<docker.ContainerArgs> = constants,
) {
  const unapplied = [init, healthcheck, tmpfs, mounts, memory !== undefined];
  return {
    label: "gpubox.unapplied",
    value: createHash("sha256").update(JSON.stringify(unapplied)).digest("hex").slice(0, 12),
  };
}

/**
 * What the container runs: what the image of `docker/` says itself, which sets the umask too. Our own command goes before the
 * ENTRYPOINT of an image that is pulled, or would be arguments of it; the provider cannot say "none". A command of the person's is
 * such arguments, as in `docker run`.
 */
export function startUp(
  image: ImageConfig,
  { umask }: Pick<NotebookConfig, "umask">,
): Pick<docker.ContainerArgs, "entrypoints" | "command"> {
  if (!("pull" in image)) return {};
  const { entrypoint, command } = image;
  const entrypoints = entrypoint ?? (command ? undefined : pulledCommand);
  // The ENTRYPOINT that an image has itself is not known here; see `umaskProblems` in config.ts.
  const masked =
    umask === undefined || !entrypoints
      ? entrypoints
      : ["sh", "-c", 'umask "$0" && exec "$@"', umask, ...entrypoints];
  return { entrypoints: masked, command };
}

/** Who runs in the container and what they may do: the person, without any capability. */
export function identity(image: ImageConfig, runsAs: pulumi.Output<RunsAs>): Partial<docker.ContainerArgs> {
  const securityOpts = ["no-new-privileges:true"];
  if (hasOwnUser(image)) return { securityOpts };
  return {
    user: runsAs.user,
    // None at all rather than an empty list: nothing changes for whoever has none.
    groupAdds: runsAs.apply(({ groups }) => (groups.length > 0 ? groups : undefined)) as pulumi.Output<
      string[]
    >,
    usernsMode: runsAs.apply(({ usernsMode }) => usernsMode) as pulumi.Output<string>,
    securityOpts,
    capabilities: { drops: ["ALL"] },
  };
}

/** Folders in the container that whoever runs there must be able to write to, and those of which it is good to know. */
export function foldersToProve(image: ImageConfig, { volumes }: Pick<NotebookConfig, "volumes">) {
  return {
    needed: ["/code", "/data", ...(hasOwnUser(image) ? [] : [HOME])],
    further: volumes.filter(({ readOnly }) => !readOnly).map(({ target }) => target),
  };
}

/** Environment of the container, as the provider takes it; a secret, as it holds the token. */
export function environment(
  notebook: NotebookConfig,
  image: ImageConfig,
  accelerator: string,
  token: string,
): string[] {
  const variables = {
    ...notebook.environment,
    // That of `docker/` says so itself.
    ...("pull" in image && !hasOwnUser(image) ? { HOME } : {}),
    // Where nvidia is the daemon's default runtime, an image that asks for all GPUs would get them.
    ...(accelerator === "CPU" ? { NVIDIA_VISIBLE_DEVICES: "void" } : {}),
    ...(notebook.umask === undefined ? {} : { GPUBOX_UMASK: notebook.umask }),
    JUPYTER_PORT: String(notebook.port),
    JUPYTER_TOKEN: token,
  };
  return Object.entries(variables).map(([key, value]) => `${key}=${value}`);
}
