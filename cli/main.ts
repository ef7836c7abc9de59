/** The commands behind `npm start`, `npm test` and `npm run …`. */
import { type Context, createContext } from "./context.ts";
import { explain, guard } from "./failure.mjs";
import { say } from "./say.ts";

type Command = (context: Context, args: string[]) => Promise<number>;

/** Loaded one by one: most commands need little of what the others do. */
const COMMANDS: Record<string, () => Promise<Command>> = {
  up: async () => (await import("./commands/up.ts")).up,
  preview: async () => (await import("./commands/preview.ts")).preview,
  refresh: async () => (await import("./commands/refresh.ts")).refresh,
  stop: async () => (await import("./commands/stop.ts")).stop,
  destroy: async () => (await import("./commands/destroy.ts")).destroy,
  status: async () => (await import("./commands/status.ts")).status,
  update: async () => (await import("./commands/update.ts")).update,
  adopt: async () => (await import("./commands/adopt.ts")).adopt,
  purge: async () => (await import("./commands/purge.ts")).purge,
  url: async () => (await import("./commands/notebook.ts")).url,
  shell: async () => (await import("./commands/notebook.ts")).shell,
  logs: async () => (await import("./commands/notebook.ts")).logs,
  tunnel: async () => (await import("./commands/tunnel.ts")).tunnel,
  env: async () => (await import("./commands/env.ts")).env,
  pulumi: async () => (await import("./commands/pulumi.ts")).pulumi,
  open: async () => (await import("./commands/open.ts")).open,
  alias: async () => (await import("./commands/alias.ts")).alias,
  "ssh-config": async () => (await import("./commands/ssh-config.ts")).sshConfigCommand,
  init: async () => (await import("./commands/init.ts")).init,
  doctor: async () => (await import("./commands/doctor.ts")).doctor,
  test: async () => (await import("./commands/test.ts")).test,
  soak: async () => (await import("./commands/soak.ts")).soak,
  check: async () => (await import("./commands/check.ts")).check,
  bench: async () => (await import("./commands/bench.ts")).bench,
  schema: async () => (await import("./commands/schema.ts")).schema,
};

async function main([name = "", ...args]: string[]): Promise<number> {
  const load = COMMANDS[name];
  if (!load) {
    say(`gpubox: there is no command ${name || "given"}; there are ${Object.keys(COMMANDS).join(", ")}`);
    return 2;
  }
  const command = await load();
  return await command(createContext(), args);
}

/** Says what is wrong. @returns the exit status */
function fail(error: unknown): number {
  const { status, tell } = explain(error);
  say(`gpubox: ${tell}`);
  return status;
}

guard((error) => process.exit(fail(error)));
process.on("exit", () => {
  if (process.exitCode !== undefined) return;
  // Ctrl-D closed what a question reads from: nothing is left to wait for, and nobody has answered.
  say("gpubox: stopped: there was no answer");
  process.exitCode = 1;
});
// Not awaited at the top, where Node itself warns of a wait that has no end.
main(process.argv.slice(2))
  .catch(fail)
  .then((status) => {
    process.exitCode = status;
  });
