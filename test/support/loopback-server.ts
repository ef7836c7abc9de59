/** A small HTTP server on 127.0.0.1 that serves bytes, counts what it is asked for, and fails on demand. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What goes wrong with one answer. */
export type Fault =
  /** The connection breaks after so many bytes of this answer's body. */
  | { kind: "cut"; after: number }
  /** This status, with a short text as its body. */
  | { kind: "status"; status: number }
  /** The connection stays open after so many bytes of this answer's body, and nothing more comes. */
  | { kind: "hold"; after: number }
  /** Status 200 with a web page in place of the file, as from a captive portal. */
  | { kind: "html" }
  /** Only the first so many bytes, in a chunked answer that ends as if it were complete. */
  | { kind: "short"; bytes: number }
  /** The whole file, whatever range was asked for. */
  | { kind: "no-ranges" }
  /** The whole file under a `Content-Length` that is not its own; then the connection ends. */
  | { kind: "length"; claimed: number };

/** A request as it arrived. */
export interface SeenRequest {
  method: string;
  /** Path with its query. */
  url: string;
  /** The `Range` header. */
  range: string | undefined;
}

/** How a file is served. */
export interface ServeOptions {
  /** Faults of the first answers to GET, one each; then the file is served well. */
  faults?: Fault[];
  /** The fault of every answer to GET, once `faults` is used up. */
  always?: Fault;
  /** Answers to GET wait for this. */
  after?: Promise<unknown>;
  /** Bytes per second of each answer; as fast as it goes by default. */
  rate?: number;
  /** Status of every answer to HEAD, as of a server that allows GET alone. */
  head?: number;
  /** The `ETag` header. */
  etag?: string;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface LoopbackServer {
  /** Address of a path of this server. */
  url(path: string): string;
  /** Serves these bytes at a path, in place of what was there. */
  serve(path: string, body: Uint8Array, options?: ServeOptions): void;
  /** Serves everything whose path starts with this prefix by a handler; of several the longest counts. */
  handle(prefix: string, handler: Handler): void;
  /** Requests so far. */
  readonly requests: SeenRequest[];
  /** Bytes of file bodies handed out so far. */
  readonly bytesSent: number;
  /** Answers to GET that are under way. */
  readonly downloads: number;
  /** Forgets requests and bytes so far, and what answers that are under way have yet to send. */
  forget(): void;
  close(): Promise<void>;
}

interface ServedFile extends ServeOptions {
  body: Uint8Array;
  faults: Fault[];
}

const CHUNK = 64 * 1024;

/** Starts a server on a free port of 127.0.0.1. Paths that were not set answer 404. */
export async function startLoopbackServer(): Promise<LoopbackServer> {
  const files = new Map<string, ServedFile>();
  const handlers = new Map<string, Handler>();
  const requests: SeenRequest[] = [];
  let sent = { bytes: 0 };
  let downloads = 0;

  const server = createServer(async (request, response) => {
    const { method = "GET", url = "/" } = request;
    requests.push({ method, url, range: request.headers.range });
    if (method === "GET") {
      downloads++;
      response.once("close", () => downloads--);
    }
    const path = url.replace(/\?.*$/, "");
    const [prefix = ""] = [...handlers.keys()]
      .filter((each) => path.startsWith(each))
      .sort((a, b) => b.length - a.length);
    const handler = handlers.get(prefix);
    if (handler) return handler(request, response);
    const file = files.get(path);
    if (!file) return answerStatus(response, 404);
    // A client that was killed may still be sent to for a moment after `forget`.
    const current = sent;
    for await (const bytes of answer(file, request, response)) current.bytes += bytes;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  return {
    url: (path) => `http://127.0.0.1:${port}${path}`,
    serve: (path, body, { faults = [], ...options } = {}) => {
      files.set(path, { ...options, body, faults: [...faults] });
    },
    handle: (prefix, handler) => {
      handlers.set(prefix, handler);
    },
    requests,
    get bytesSent() {
      return sent.bytes;
    },
    get downloads() {
      return downloads;
    },
    forget: () => {
      requests.length = 0;
      sent = { bytes: 0 };
    },
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

function answerStatus(response: ServerResponse, status: number): void {
  response.writeHead(status, { "Content-Type": "text/plain" }).end(`status ${status}\n`);
}

/** Answers one request for a file and yields the bytes of its body as they go out. */
async function* answer(
  file: ServedFile,
  request: IncomingMessage,
  response: ServerResponse,
): AsyncGenerator<number> {
  const head = request.method === "HEAD";
  const fault = head ? undefined : (file.faults.shift() ?? file.always);
  const size = file.body.length;
  if (!head) await file.after;
  if (head && file.head) return answerStatus(response, file.head);
  if (fault?.kind === "status") return answerStatus(response, fault.status);
  if (fault?.kind === "html") {
    response
      .writeHead(200, { "Content-Type": "text/html" })
      .end("<!doctype html><title>Please log in</title>\n");
    return;
  }
  if (fault?.kind === "short") {
    response.writeHead(200).write(file.body.subarray(0, fault.bytes));
    response.end();
    yield fault.bytes;
    return;
  }

  const range =
    fault?.kind === "no-ranges" ? undefined : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const start = Number(range?.[1] ?? 0);
  const stop = range?.[2] ? Math.min(Number(range[2]) + 1, size) : size;
  if (start >= size && size > 0) {
    response.writeHead(416, { "Content-Range": `bytes */${size}` }).end();
    return;
  }
  const headers = {
    "Content-Type": "application/octet-stream",
    "Content-Length": fault?.kind === "length" ? fault.claimed : stop - start,
    ...(file.etag ? { ETag: file.etag } : {}),
  };
  if (range) {
    response.writeHead(206, { ...headers, "Content-Range": `bytes ${start}-${stop - 1}/${size}` });
  } else {
    response.writeHead(200, headers);
  }
  if (head) {
    response.end();
    return;
  }

  const ends = fault?.kind === "cut" || fault?.kind === "hold";
  const end = ends ? Math.min(stop, start + fault.after) : stop;
  const atOnce = Math.min(CHUNK, file.rate ?? CHUNK);
  response.flushHeaders();
  for (let at = start; at < end && !response.destroyed; at += atOnce) {
    const chunk = file.body.subarray(at, Math.min(at + atOnce, end));
    await new Promise((resolve) => response.write(chunk, resolve));
    yield chunk.length;
    if (file.rate)
      await new Promise((resolve) => setTimeout(resolve, (chunk.length / Number(file.rate)) * 1000));
  }
  if (fault?.kind === "hold") {
    if (!response.destroyed) await once(response, "close");
  } else if (end < stop || fault?.kind === "length") {
    // What was written has to leave first: destroying at once would drop it.
    response.socket?.end();
  } else {
    response.end();
  }
}

/** Serves the git repositories below a folder, at `prefix`, by git's own CGI program. */
export function gitHandler(prefix: string, folder: string): Handler {
  return (request, response) => {
    const [path = "", query = ""] = (request.url ?? "").slice(prefix.length).split("?");
    const git = spawn("git", ["http-backend"], {
      env: {
        PATH: process.env.PATH,
        GIT_PROJECT_ROOT: folder,
        GIT_HTTP_EXPORT_ALL: "1",
        GIT_CONFIG_NOSYSTEM: "1",
        GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
        HTTP_CONTENT_ENCODING: String(request.headers["content-encoding"] ?? ""),
        REQUEST_METHOD: request.method,
        CONTENT_TYPE: request.headers["content-type"] ?? "",
        PATH_INFO: `/${path.replace(/^\//, "")}`,
        QUERY_STRING: query,
        REMOTE_ADDR: "127.0.0.1",
      },
      stdio: ["pipe", "pipe", "ignore"],
    });
    // A client that is killed closes both ends early.
    git.stdin.on("error", () => request.unpipe());
    request.pipe(git.stdin);
    let pending = Buffer.alloc(0);
    git.stdout.on("data", (chunk: Buffer) => {
      if (response.headersSent) return response.write(chunk);
      pending = Buffer.concat([pending, chunk]);
      const end = pending.indexOf("\r\n\r\n");
      if (end < 0) return;
      const fields = pending
        .subarray(0, end)
        .toString()
        .split("\r\n")
        .map((line): [string, string] => [line.replace(/:.*/, ""), line.replace(/^[^:]*: */, "")]);
      const status = fields.find(([name]) => name.toLowerCase() === "status")?.[1];
      response.writeHead(Number.parseInt(status ?? "200", 10), Object.fromEntries(fields));
      response.write(pending.subarray(end + 4));
    });
    git.on("close", () => response.end());
  };
}
