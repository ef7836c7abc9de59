import { randomBytes } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Resource } from "../shared/provider.ts";
import { hasUnknown, type Properties, unknownValue } from "../shared/values.ts";
import { type CommandInputs, type CommandOutputs, inputs } from "./inputs.ts";
import { run } from "./run.ts";

const nothingYet: CommandOutputs = { stdout: "", stderr: "" };

/** `command.local.Command`: runs shell commands on this machine when it is created, changed and deleted. */
export const localCommand: Resource = {
  schema: inputs,
  // Any other input runs the create script again, on the resource that is there.
  replaces: ["triggers"],

  async create(properties, operation) {
    const id = operation.name + randomBytes(4).toString("hex");
    if (operation.preview) return { id, outputs: { ...properties, ...unknownOutputs } };
    const command = properties as CommandInputs;
    const outputs = command.create === undefined ? nothingYet : await run(command.create, command, operation);
    return { id, outputs: { ...properties, ...outputs } };
  },

  async update(_id, state, properties, operation) {
    const before = outputsOf(state);
    if (operation.preview) {
      const outputs = mayChange(state, properties) ? unknownOutputs : before;
      return { ...properties, ...outputs };
    }
    const command = properties as CommandInputs;
    const outputs = command.create === undefined ? before : await run(command.create, command, operation);
    return { ...properties, ...outputs };
  },

  async delete(_id, state, operation) {
    const command = state as CommandInputs;
    if (command.delete !== undefined) await run(command.delete, command, operation);
  },
};

const unknownOutputs = { stdout: unknownValue, stderr: unknownValue };

function outputsOf(state: Properties): CommandOutputs {
  return { stdout: String(state.stdout ?? ""), stderr: String(state.stderr ?? "") };
}

/** At preview the official plugin takes an output for unknown only when an input it had before is another one now. */
function mayChange(state: Properties, news: Properties): boolean {
  return Object.keys(inputs.shape).some(
    (name) =>
      hasUnknown(news[name]) || (state[name] !== undefined && !isDeepStrictEqual(state[name], news[name])),
  );
}
