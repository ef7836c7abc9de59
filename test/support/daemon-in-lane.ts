/**
 * A run of tests in small, for the test that it leaves nothing behind: a process, a lane, and in it a daemon with a network and a
 * mount. Says `up` once all of it is there, and stays until it is told to end.
 *
 *   node daemon-in-lane.ts FOLDER
 */
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { startDaemon } from "./daemon.ts";
import { runInLane } from "./lane.ts";

const INSIDE = "GPUBOX_TEST_INSIDE";
const [, , folder = ""] = process.argv;

if (!process.env[INSIDE]) {
  const env = { ...process.env, [INSIDE]: "true" };
  process.exitCode = await runInLane(process.execPath, [fileURLToPath(import.meta.url), folder], env);
} else {
  const daemon = await startDaemon({ folder });
  await daemon.client.createNetwork({ Name: "left-behind" });
  await execa("mount", ["-t", "tmpfs", "tmpfs", "/mnt"]);
  process.stdout.write("up\n");
  // That the standard input ends says nothing: it does so as well when the run is killed.
  await once(process.stdin, "data");
  process.stdin.destroy();
  await daemon.end();
}
