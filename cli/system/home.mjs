/** The person's home folder, which every program that we start goes by. Runs on any Node, with nothing installed. */
import { homedir } from "node:os";

/** Sees to it that HOME is set. @throws Error in words where the machine knows no home of whoever runs this */
export function settleHome(env = process.env) {
  if (env.HOME) return;
  try {
    env.HOME = homedir();
  } catch {
    // A uid without an entry in /etc/passwd, as in a container.
    const message = `HOME is not set, and this machine has no home folder for user ${process.getuid?.()}: run \`export HOME=FOLDER\` with a folder of yours, then try again`;
    throw Object.assign(new Error(message), { forPerson: true, status: 1 });
  }
}
