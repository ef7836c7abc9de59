/** A fast.ai / PyTorch notebook on a GPU: configuration, then the host it lands on, then what runs there. */
import * as pulumi from "@pulumi/pulumi";
import { createHost } from "./components/host/index.ts";
import { readHoldings } from "./components/host/stack-owner.ts";
import { Workspace } from "./components/workspace/workspace.ts";
import { readEngineConfig } from "./config/from-engine.ts";
import { NAMESPACE } from "./config/messages.ts";
import { registryLogin } from "./machine/docker/registry-login.ts";
import { tunnelPorts } from "./machine/names.ts";
import { hostNeeds } from "./machine/needs.ts";
import { madeBy } from "./machine/owner.ts";

const keys = pulumi.runtime.allConfig();
const settings = readEngineConfig(pulumi.getStack(), keys);
// The engine leaves out what is below another key than `config:` and says nothing; the commands have looked before.
if (!Object.keys(keys).some((key) => key.startsWith(`${NAMESPACE}:`)))
  pulumi.log.warn(`stack ${pulumi.getStack()} sets no gpubox keys, so it is created with the defaults`);
const { host: hostConfig, root, ...config } = settings;
const stack = `${pulumi.getProject()}/${pulumi.getStack()}`;

const login = await registryLogin(config.image);
if (login.problem) pulumi.log.warn(login.problem);
const holdings = await readHoldings(stack);
const host = await createHost({
  host: hostConfig,
  root,
  needs: hostNeeds(stack, settings, holdings),
  dataUrls: config.data.flatMap(({ url }) => url),
  registryAuth: login.auth,
});
const workspace = new Workspace("workspace", { host, stack, madeBy: madeBy(), ...config });

const tunnel = host.tunnelCommand(tunnelPorts(config.notebooks));

/** The outputs of the stack. */
export default {
  /** Name, url with token, GPUs, port, and the commands for a shell and the logs, of every notebook. */
  notebooks: workspace.notebooks,
  /** Name of the image the notebooks run. */
  image: workspace.image,
  /** Folder on the host that the notebooks see as `/code`. */
  codeFolder: workspace.codeFolder,
  /** Folder on the host that the notebooks see as `/data`. */
  dataFolder: workspace.dataFolder,
  /** What the notebooks compute on: "CPU", with why where a GPU was looked for, or their GPUs. */
  accelerator: workspace.accelerator,
  // What is undefined is left out, as Pulumi would warn of it at every run.
  /** The machine that the stack made, how it is reached and what it costs; not there for one that was there before. */
  ...(host.machine && { machine: host.machine }),
  /** The command that brings the notebooks of a machine elsewhere to this one's loopback; not there for this machine. */
  ...(tunnel && { tunnel }),
};
