import { goDuration } from "./duration.ts";
import { block, blocks, flag, map, preset, type Table, text, textSet, texts, whole } from "./table.ts";

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
  stopTimeout: whole(computed),

  volumes: blocks("set", { containerPath: text(replaces), volumeName: text(replaces) }, replaces),
  mounts: blocks(
    "set",
    {
      target: text({ required: true }),
      type: text({ required: true }, /^bind$/),
      source: text({ required: true }),
      readOnly: flag(),
    },
    replaces,
  ),
  tmpfs: map(),

  ports: blocks(
    "unordered",
    {
      internal: whole(required),
      external: whole(required),
      ip: text({ replaces: true, fallback: "0.0.0.0" }),
      protocol: text({ replaces: true, fallback: "tcp" }),
    },
    replaces,
  ),
  networkMode: preset("bridge", replaces),
  networksAdvanced: blocks("set", { name: text(required) }, replaces),

  // A list of ids cannot be written here: `device=0,1` is one id and a number, which the daemon refuses.
  gpus: text(replaces, /^(all|device=[^,]+)$/),
  deviceRequests: blocks(
    "set",
    {
      driver: text(required),
      count: preset(0, replaces),
      deviceIds: textSet(required),
      capabilities: textSet(replaces),
    },
    replaces,
  ),

  shmSize: whole(computed, 0),
  memory: whole({}, 0),
  memorySwap: whole({}, 0),

  capabilities: block({ drops: textSet(replaces) }, { ...replaces, set: true }),
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
      startInterval: preset("0s"),
      retries: whole({ fallback: 0 }, 0),
    },
    { computed: true },
  ),
  restart: text({ fallback: "no" }, /^(no|on-failure|always|unless-stopped)$/),

  destroyGraceSeconds: whole(),

  start: preset(true),
  wait: preset(false),
  waitTimeout: preset(60),
  attach: preset(false),
  logs: preset(false),
  mustRun: preset(true),
  rm: preset(false),
  removeVolumes: preset(true),
  readOnly: preset(false, replaces),
  tty: preset(false, replaces),
  stdinOpen: preset(false, replaces),
} as const satisfies Table;

/** What a container has besides its inputs. */
export const containerOutputs = [
  "bridge",
  "exitCode",
  "networkDatas",
  "runtime",
  "ipcMode",
  "stopSignal",
] as const;

/** The properties that a change of reaches the running container. */
export const updatable = ["restart", "memory", "memorySwap"] as const;
