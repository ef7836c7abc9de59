/** Asking the person at the terminal. */
import { createInterface } from "node:readline/promises";

/** Asks the person at the terminal; no answer, Ctrl-D among them, is a no. @throws what Ctrl-C is told by; see failure.mjs */
export async function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } catch (error) {
    // The cursor is still behind the question.
    process.stderr.write("\n");
    if ((error as Error).message === "Aborted with Ctrl+D") return false;
    throw error;
  } finally {
    terminal.close();
  }
}
