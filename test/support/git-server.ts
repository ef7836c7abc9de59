/** Git repositories as tests need them: made by nobody in particular, and served the ways that servers do. */
import { execFileSync } from "node:child_process";
import { createReadStream, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Handler } from "./loopback-server.ts";

/** A git with this HOME, and no configuration of the machine: `git(folder, ...args)` gives what it prints. */
export function gitAs(home: string): (folder: string, ...args: string[]) => string {
  const person = { NAME: "A", EMAIL: "a@localhost" };
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_AUTHOR_NAME: person.NAME,
    GIT_AUTHOR_EMAIL: person.EMAIL,
    GIT_COMMITTER_NAME: person.NAME,
    GIT_COMMITTER_EMAIL: person.EMAIL,
  };
  return (folder, ...args) =>
    execFileSync("git", ["-C", folder, ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      env,
      // Not trimmed at its start: the first column of `git status` may be a blank.
    }).trimEnd();
}

/** Asks for a login (HTTP basic) before it serves. */
export function behindLogin(user: string, password: string, handler: Handler): Handler {
  const expected = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  return (request, response) => {
    if (request.headers.authorization === expected) return handler(request, response);
    response.writeHead(401, { "WWW-Authenticate": 'Basic realm="git"' }).end();
  };
}

/** Serves the files below a folder and knows nothing of git: a "dumb" server, once `git update-server-info` has run there. */
export function dumbHandler(prefix: string, folder: string): Handler {
  return (request, response) => {
    const path = join(
      folder,
      decodeURIComponent((request.url ?? "").slice(prefix.length).replace(/\?.*/, "")),
    );
    if (!existsSync(path) || !statSync(path).isFile()) return void response.writeHead(404).end();
    response.writeHead(200, { "Content-Type": "text/plain" });
    createReadStream(path).pipe(response);
  };
}

/**
 * Git LFS's API for downloads, at `prefix`, out of the `.git/lfs/objects` of a repository.
 *
 * @param base address of the server, to which the downloads are sent
 */
export function lfsHandler(prefix: string, folder: string, base: string): Handler {
  const file = (oid: string) => join(folder, oid.slice(0, 2), oid.slice(2, 4), oid);
  return async (request, response) => {
    const path = (request.url ?? "").slice(prefix.length);
    if (path === "objects/batch") {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const { objects } = JSON.parse(Buffer.concat(chunks).toString());
      const answers = objects.map(({ oid, size }: { oid: string; size: number }) =>
        existsSync(file(oid))
          ? { oid, size, authenticated: true, actions: { download: { href: `${base}${prefix}${oid}` } } }
          : { oid, size, error: { code: 404, message: "there is no such object" } },
      );
      response.writeHead(200, { "Content-Type": "application/vnd.git-lfs+json" });
      response.end(JSON.stringify({ transfer: "basic", objects: answers }));
    } else if (/^[0-9a-f]{64}$/.test(path) && existsSync(file(path))) {
      response.writeHead(200, { "Content-Type": "application/octet-stream" });
      createReadStream(file(path)).pipe(response);
    } else {
      // Its list of locked files, among others, which a server need not have.
      response.writeHead(404).end();
    }
  };
}
