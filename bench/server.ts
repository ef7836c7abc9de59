/** A file server on 127.0.0.1 with the speed of a real link: it counts what it serves, and breaks off when told to. */
import { once } from "node:events";
import { type FileHandle, open } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** How fast a server is. */
export interface Cap {
  /** Bytes per second. */
  rate: number;
  /** Whether all connections share it, as on a slow line, or each has it, as with a busy server. */
  shared: boolean;
}

export interface FileServer {
  /** Address of the file. */
  url: string;
  /** Bytes of the file served so far, in all answers. */
  readonly bytes: number;
  /** Requests so far. */
  readonly requests: number;
  /** Sets both to nothing, and a new point of `cutAt`. */
  reset(cutAt?: number): void;
  /** From the next answer on. */
  setCap(cap: Cap | undefined): void;
  close(): Promise<void>;
}

const CHUNK = 64 * 1024;

/** Seconds of its rate that a link may catch up with: timers are late by a few milliseconds. */
const BURST = 0.05;

/** What lets so many bytes a second through. */
class Link {
  readonly #rate: number;
  /** When what was let through so far has passed, in seconds. */
  #busyUntil = 0;

  constructor(rate: number) {
    this.#rate = rate;
  }

  /** Settles when so many bytes have passed. */
  async pass(bytes: number): Promise<void> {
    const now = performance.now() / 1000;
    this.#busyUntil = Math.max(this.#busyUntil, now - BURST) + bytes / this.#rate;
    if (this.#busyUntil > now) await sleep((this.#busyUntil - now) * 1000);
  }
}

/** Serves one file, with ranges. */
export async function serveFile(path: string): Promise<FileServer> {
  const file = await open(path);
  const { size } = await file.stat();
  let bytes = 0;
  let requests = 0;
  let cutAt: number | undefined;
  let cap: Cap | undefined;
  let shared: Link | undefined;
  const links = new WeakMap<Socket, Link>();

  function linkOf(socket: Socket): Link | undefined {
    if (!cap) return undefined;
    if (cap.shared) return shared;
    const link = links.get(socket) ?? new Link(cap.rate);
    links.set(socket, link);
    return link;
  }

  const server = createServer(async (request, response) => {
    requests++;
    // A client that goes away in the middle is none of our business.
    response.on("error", () => {});
    const range = writeHead(request, response, size);
    if (!range || request.method === "HEAD") return response.end();
    for await (const sent of send(file, range, response, linkOf(request.socket))) {
      bytes += sent;
      if (cutAt === undefined || bytes < cutAt) continue;
      cutAt = undefined;
      server.closeAllConnections();
    }
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}/${basename(path)}`,
    get bytes() {
      return bytes;
    },
    get requests() {
      return requests;
    },
    reset(cut) {
      bytes = 0;
      requests = 0;
      cutAt = cut;
    },
    setCap(next) {
      cap = next;
      shared = next?.shared ? new Link(next.rate) : undefined;
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
      await file.close();
    },
  };
}

interface Range {
  start: number;
  /** Behind the last byte. */
  end: number;
}

/** Writes the head of an answer and returns what of the file belongs into it; nothing where the range is not there. */
function writeHead({ headers }: IncomingMessage, response: ServerResponse, size: number): Range | undefined {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "") ?? [];
  const start = Number(from ?? 0);
  const end = to ? Math.min(Number(to) + 1, size) : size;
  if (start >= end) {
    response.writeHead(416, { "Content-Range": `bytes */${size}` });
    return undefined;
  }
  response.writeHead(from === undefined ? 200 : 206, {
    "Accept-Ranges": "bytes",
    "Content-Type": "application/octet-stream",
    "Content-Length": end - start,
    ...(from === undefined ? {} : { "Content-Range": `bytes ${start}-${end - 1}/${size}` }),
  });
  return { start, end };
}

/** Sends a part of a file and yields the bytes as they go out, until the client has them all or is gone. */
async function* send(
  file: FileHandle,
  { start, end }: Range,
  response: ServerResponse,
  link: Link | undefined,
): AsyncGenerator<number> {
  for (let at = start; at < end && !response.destroyed; ) {
    const { buffer, bytesRead } = await file.read(
      Buffer.allocUnsafe(CHUNK),
      0,
      Math.min(CHUNK, end - at),
      at,
    );
    await link?.pass(bytesRead);
    const gone = await new Promise<unknown>((resolve) =>
      response.write(buffer.subarray(0, bytesRead), resolve),
    );
    if (gone) return;
    at += bytesRead;
    yield bytesRead;
  }
}
