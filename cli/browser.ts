/** Showing a page in the person's browser. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, isAbsolute } from "node:path";
import { findProgram, isExecutable } from "./path.ts";
import { capture, type Env } from "./run.ts";

/** How long a browser may take to ask for the page, in milliseconds. */
const PATIENCE = 30_000;

/** The program that opens a page, or undefined where there is no screen to show it on. */
export function browserProgram(env: Env, platform = process.platform): string | undefined {
  const isScreen = platform === "darwin" || env.DISPLAY || env.WAYLAND_DISPLAY || env.WSL_DISTRO_NAME;
  const names = [
    // Several may be named, as in a PATH; editors that work elsewhere name a program of their own by its path.
    ...(env.BROWSER ?? "").split(delimiter).filter(Boolean),
    ...(!isScreen ? [] : platform === "darwin" ? ["open"] : ["wslview", "xdg-open"]),
  ];
  const find = (name: string) =>
    isAbsolute(name) ? (isExecutable(name) ? name : undefined) : findProgram(name, env.PATH);
  return names.map(find).find((program) => program !== undefined);
}

/**
 * Shows a page whose address is a secret: what a program is started with, everybody on the machine can see, so the browser is
 * given a page of our own that sends it on, once.
 *
 * @returns whether a browser asked for it
 */
export async function openBrowser(url: string, env: Env): Promise<boolean> {
  const program = browserProgram(env);
  if (program === undefined) return false;
  const path = `/${randomUUID()}`;
  const server = createServer((request, response) => {
    if (request.url !== path) return response.writeHead(404).end();
    response.writeHead(302, { location: url, "referrer-policy": "no-referrer", connection: "close" }).end();
    server.emit("shown");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const shown = once(server, "shown", { signal: AbortSignal.timeout(PATIENCE) });
  const { port } = server.address() as AddressInfo;
  try {
    // Some browsers stay, others leave at once; what counts is that the page was asked for.
    const ended = capture(program, [`http://127.0.0.1:${port}${path}`], { env });
    const failed = ended.then(({ code }) => (code === 0 ? new Promise<never>(() => {}) : undefined));
    return (await Promise.race([shown, failed])) !== undefined;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
