/** `npm run update`: moves the branches and tags of `code` entries on, without running the program. */
import type { Context } from "../context.ts";
import { runHostScript } from "../host-scripts.ts";
import { Problem, say } from "../say.ts";
import { isLocal, isStackThere, openSession } from "../session.ts";
import { readState, type State } from "../state.ts";

const COMMAND = "command:local:Command";

/** The parameters with which `code.sh` put an entry there. */
export type CodeParameters = Record<string, string> & { FOLDER: string };

export async function update(context: Context, args: string[]): Promise<number> {
  const session = await openSession(context, args);
  const { stack, rest: names } = session;
  const option = names.find((name) => name.startsWith("-"));
  if (option) throw new Problem(`there is no option ${option}; it takes the folders of \`code\` entries`);
  if (!isLocal(session.settings)) {
    throw new Problem(`stack ${stack} is not on this machine: \`npm run update\` is for local stacks only`);
  }
  const entries = (await isStackThere(session)) ? codeEntries(await readState(session)) : [];
  if (entries.length === 0) {
    throw new Problem(
      `stack ${stack} has no \`code\` on this machine yet: list it in Pulumi.${stack}.yaml and run \`npm start\``,
    );
  }
  return await updateEntries(context, chooseEntries(entries, names));
}

/** The `code` entries that a state knows to be on this machine. */
export function codeEntries({ deployment }: State): CodeParameters[] {
  return (deployment.resources ?? []).flatMap(({ type, inputs }) => {
    const { URL, REF, FOLDER, ...others } = (inputs?.environment ?? {}) as Record<string, string>;
    return type === COMMAND && inputs?.create && URL && REF && FOLDER
      ? [{ URL, REF, FOLDER, ...others }]
      : [];
  });
}

/** Those with these folders; all of them without any. @throws Problem when there is none of that name */
export function chooseEntries(entries: CodeParameters[], names: string[]): CodeParameters[] {
  const folders = entries.map(({ FOLDER }) => FOLDER);
  const unknown = names.find((name) => !folders.includes(name));
  if (unknown) throw new Problem(`there is no \`code\` entry ${unknown}; there is ${folders.join(", ")}`);
  return names.length === 0 ? entries : entries.filter(({ FOLDER }) => names.includes(FOLDER));
}

/**
 * Looks each entry's ref up anew and moves its checkout there, one after the other; one that fails keeps none from its turn.
 *
 * @returns exit status: that of the last entry that failed, else 0
 */
export async function updateEntries(context: Context, entries: CodeParameters[]): Promise<number> {
  let status = 0;
  for (const entry of entries) {
    const { code } = await runHostScript(context, "code.sh", { ...entry, UPDATE: "1" });
    if (code === 0) continue;
    say(`code/${entry.FOLDER}: not updated`);
    status = code;
  }
  return status;
}
