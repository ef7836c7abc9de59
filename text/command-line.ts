/** Our commands as a person types them, in the way in which this run was called. */
import { shellLine } from "./shell.ts";

/** How the commands are called: as npm scripts, by the program on PATH, or by npx in the clone. */
export const CALLERS = ["npm", "gpubox", "npx gpubox"] as const;
export type Caller = (typeof CALLERS)[number];

let caller: Caller = "npm";

/** From here on messages write commands in this way. @param named a word of the environment; another than these is npm */
export function callAs(named: string | undefined): void {
  caller = CALLERS.find((each) => each === named) ?? "npm";
}

/** The npm script of a command. */
export const scriptOf = (command: string): string => SCRIPTS[command] ?? command;

/** Those that have another name. */
const SCRIPTS: Record<string, string> = { up: "start", soak: "test:soak" };

/** What a command is called in messages about it. */
export const commandWord = (command: string): string => (caller === "npm" ? scriptOf(command) : command);

/** A call of one of our commands. */
export function commandLine(command: string, ...words: string[]): string {
  if (caller !== "npm") return shellLine([...caller.split(" "), command, ...words]);
  return npmLine(command, ...words);
}

/** A call of one of our commands by npm, as it is for those that are there in a clone alone. */
export function npmLine(command: string, ...words: string[]): string {
  const script = scriptOf(command);
  const call = script === "start" || script === "test" ? [script] : ["run", script];
  return shellLine(["npm", ...call, ...(words.length > 0 ? ["--", ...words] : [])]);
}
