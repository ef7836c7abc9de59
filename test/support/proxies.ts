/** Small proxies on 127.0.0.1 that lead every name to this machine, and know which connections are theirs. */
import { once } from "node:events";
import { createServer as createHttpServer, request as httpRequest } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export interface LoopbackProxy {
  /** Its address, as `HOST:PORT`. */
  readonly address: string;
  /** What it was asked to connect to, `HOST:PORT` each, in the words of who asked. */
  readonly targets: string[];
  /** Whether a connection that a server has is from this proxy. */
  leads(socket: { remotePort?: number | undefined }): boolean;
  close(): Promise<void>;
}

/** An HTTP proxy: whole urls, and CONNECT. */
export function startHttpProxy(): Promise<LoopbackProxy> {
  return start((proxied) => {
    const server = createHttpServer((request, response) => {
      const { hostname, port, pathname, search } = new URL(request.url ?? "");
      proxied.targets.push(`${hostname}:${port}`);
      const { method, headers } = request;
      const onward = httpRequest(
        { host: "127.0.0.1", port, method, path: pathname + search, headers },
        (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        },
      );
      onward.on("socket", (socket) => proxied.own(socket));
      onward.on("error", () => response.writeHead(502).end());
      request.pipe(onward);
    });
    server.on("connect", (request, socket: Socket) => {
      const port = Number((request.url ?? "").replace(/.*:/, ""));
      proxied.targets.push(request.url ?? "");
      const onward = proxied.own(connect(port, "127.0.0.1"));
      socket.on("error", () => onward.destroy());
      onward.on("error", () => socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
      onward.on("connect", () => {
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
        onward.pipe(socket).pipe(onward);
      });
    });
    return server;
  });
}

/** A SOCKS proxy of version 5, without a login (RFC 1928). */
export function startSocksProxy(): Promise<LoopbackProxy> {
  return start((proxied) =>
    createServer(async (socket) => {
      socket.on("error", () => {});
      await once(socket, "data");
      socket.write(Buffer.from([5, 0]));
      const [request] = (await once(socket, "data")) as [Buffer];
      // An IPv4 address, or a name after its length.
      const end = request[3] === 1 ? 8 : 5 + (request[4] ?? 0);
      const host = request[3] === 1 ? request.subarray(4, end).join(".") : request.toString("latin1", 5, end);
      const port = request.readUInt16BE(end);
      proxied.targets.push(`${host}:${port}`);
      const onward = proxied.own(connect(port, "127.0.0.1"));
      onward.on("error", () => socket.destroy());
      onward.on("connect", () => {
        socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
        onward.pipe(socket).pipe(onward);
      });
    }),
  );
}

interface Proxied {
  targets: string[];
  /** Notes down that a connection is the proxy's. */
  own(socket: Socket): Socket;
}

async function start(serve: (proxied: Proxied) => Server): Promise<LoopbackProxy> {
  const ports = new Set<number>();
  const sockets = new Set<Socket>();
  const note = (socket: Socket) => {
    if (socket.localPort !== undefined) ports.add(socket.localPort);
  };
  const proxied: Proxied = {
    targets: [],
    own: (socket) => {
      note(socket);
      return socket.on("connect", () => note(socket));
    },
  };
  const server = serve(proxied);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    targets: proxied.targets,
    leads: ({ remotePort = 0 }) => ports.has(remotePort),
    close: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}
