/** A quick look at a machine that is reached by SSH. */
import { shortName } from "../../../config/stack-file.ts";
import { machineOf } from "../../../machine/inspection.ts";
import { dataRootOf, type MachineInfo } from "../../../machine/outputs.ts";
import { TYPE } from "../../../machine/resource-types.ts";
import { reachSshMachine } from "../../../machine/ssh/inspect.ts";
import { mountedFolders } from "../../docker/present.ts";
import { readMachine, relay } from "../ssh.ts";
import type { Look } from "./look.ts";

/** A machine that is silent for so long may be stopped, in milliseconds. */
const PATIENCE_MS = 9_000;

export const lookThere: Look = async (stack, { deployment: { resources = [] } }) => {
  const outputs = resources.find(({ type }) => type === TYPE.stack)?.outputs ?? {};
  const made = outputs.machine as MachineInfo | undefined;
  const connection = made?.connection ?? readMachine(stack).connection;
  const root = dataRootOf(String(outputs.codeFolder));
  const folders = { root, further: mountedFolders(resources) };
  const inspection = await reachSshMachine(connection, folders, shortName(stack.stack), PATIENCE_MS);
  return {
    docker: await relay(connection),
    isHere: false,
    facts: JSON.stringify([machineOf(inspection), inspection.folders?.missing]),
  };
};
