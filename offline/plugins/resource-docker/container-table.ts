import { goDuration } from "./duration.ts";
import { block, blocks, flag, map, type Table, text, textSet, texts, whole } from "./table.ts";

const replaces = { replaces: true };
const computed = { replaces: true, computed: true };
const required = { required: true, replaces: true };
const duration = () => text({ fallback: "0s" }, goDuration);

/**
 * The properties of docker.Container, and what a change to each means. What is not marked `replaces` is "updated":
 * in place where the daemon can ({@link updatable}), in the state alone otherwise, exactly as the official plugin does.
 */
export const containerTable = {
  name: text(required),
  image: text(required),
  command: texts(computed),
  entrypoints: texts(computed),
  envs: textSet(computed),
  labels: blocks("set", { label: text(required), value: text(required) }, computed),
  user: text({ replaces: true, sticky: true }),
  workingDir: text({ replaces: true, sticky: true }),
  hostname: text(computed),
  init: flag({ computed: true }),
  stopSignal: text(computed),
  stopTimeout: whole(computed),
  uploads: blocks(
    "set",
    {
      file: text(required),
      content: text(replaces),
      contentBase64: text(replaces, /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/),
      executable: flag({ replaces: true, fallback: false }),
      permissions: text(replaces, /^0[0-7]{3}$/),
    },
    replaces,
  ),

  volumes: blocks(
    "set",
    {
      containerPath: text(replaces),
      hostPath: text(replaces, /^\//),
      volumeName: text(replaces),
      readOnly: flag(replaces),
    },
    replaces,
  ),
  mounts: blocks(
    "set",
    {
      target: text({ required: true }),
      type: text({ required: true }, /^(bind|volume|tmpfs)$/),
      source: text(),
      readOnly: flag(),
      bindOptions: block({ propagation: text({}, /^r?(private|shared|slave)$/) }),
      tmpfsOptions: block({ sizeBytes: whole(), mode: whole() }, replaces),
    },
    replaces,
  ),
  tmpfs: map(),

  ports: blocks(
    "unordered",
    {
      internal: whole(required),
      external: whole(computed),
      ip: text({ replaces: true, fallback: "0.0.0.0" }),
      protocol: text({ replaces: true, fallback: "tcp" }),
    },
    replaces,
  ),
  networkMode: text({ replaces: true, fallback: "bridge" }),
  networksAdvanced: blocks("set", { name: text(required), aliases: textSet(replaces) }, replaces),
  hosts: blocks("set", { host: text(required), ip: text(required) }, replaces),

  gpus: text(replaces),
  deviceRequests: blocks(
    "set",
    {
      driver: text({ replaces: true, fallback: "cdi" }),
      count: whole({ replaces: true, fallback: 0 }),
      deviceIds: textSet(replaces),
      capabilities: textSet(replaces),
      options: map(replaces),
    },
    replaces,
  ),
  runtime: text(computed),

  shmSize: whole(computed, 0),
  ipcMode: text(computed),
  memory: whole({}, 0),
  memorySwap: whole({}, -1),
  cpus: text(replaces, /^\d+(\.\d{1,9})?$/),
  cpuSet: text({}, /^\d+([,-]\d+)*$/),

  capabilities: block({ adds: textSet(replaces), drops: textSet(replaces) }, { ...replaces, set: true }),
  securityOpts: textSet(computed),
  groupAdds: textSet(replaces),
  usernsMode: text(replaces, /^(host)?$/),

  logDriver: text(computed),
  logOpts: map(replaces),

  healthcheck: block(
    {
      tests: texts(),
      interval: duration(),
      timeout: duration(),
      startPeriod: duration(),
      startInterval: duration(),
      retries: whole({ fallback: 0 }, 0),
    },
    { computed: true },
  ),
  restart: text({ fallback: "no" }, /^(no|on-failure|always|unless-stopped)$/),

  start: flag({ fallback: true }),
  wait: flag({ fallback: false }),
  waitTimeout: whole({ fallback: 60 }),
  attach: flag({ fallback: false }),
  logs: flag({ fallback: false }),
  mustRun: flag({ fallback: true }),
  rm: flag({ fallback: false }),
  removeVolumes: flag({ fallback: true }),
  destroyGraceSeconds: whole(),
} as const satisfies Table;

/** What a container has besides its inputs. */
export const containerOutputs = ["bridge", "containerLogs", "exitCode", "networkDatas"] as const;

/** The properties that a change of reaches the running container. */
export const updatable = ["restart", "memory", "memorySwap", "cpuSet"] as const;
