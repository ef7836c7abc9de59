/** A container registry on 127.0.0.1 that has one image and wants a login: as much of the distribution API as a pull takes. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

export interface Registry {
  /** `127.0.0.1:PORT`, as it stands in an image's name; daemons take it without TLS. */
  address: string;
  close(): Promise<void>;
}

interface Blob {
  mediaType: string;
  size: number;
  digest: string;
}

const TYPE = "application/vnd.docker";

/**
 * Serves an image under any name and tag.
 *
 * @param folder what `docker save` has written of the image, unpacked
 * @param login `user:password`
 */
export async function startRegistry(folder: string, login: string): Promise<Registry> {
  const [saved] = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as [
    { Config: string; Layers: string[] },
  ];
  const files = new Map<string, string>();
  const blob = (name: string, mediaType: string): Blob => {
    const content = readFileSync(join(folder, name));
    const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
    files.set(digest, join(folder, name));
    return { mediaType, size: content.length, digest };
  };
  const manifestType = `${TYPE}.distribution.manifest.v2+json`;
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    config: blob(saved.Config, `${TYPE}.container.image.v1+json`),
    layers: saved.Layers.map((name) => blob(name, `${TYPE}.image.rootfs.diff.tar.gzip`)),
  });
  const wanted = `Basic ${Buffer.from(login).toString("base64")}`;

  const server = createServer((request, response) => {
    const { url = "", method, headers } = request;
    if (headers.authorization !== wanted) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="the tests"' });
      return response.end('{"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}');
    }
    if (url === "/v2/") return response.end("{}");
    if (/^\/v2\/.+\/manifests\/[^/]+$/.test(url)) {
      const digest = `sha256:${createHash("sha256").update(manifest).digest("hex")}`;
      response.writeHead(200, {
        "content-type": manifestType,
        "content-length": manifest.length,
        "docker-content-digest": digest,
      });
      return response.end(method === "HEAD" ? undefined : manifest);
    }
    const file = files.get(/^\/v2\/.+\/blobs\/(sha256:[0-9a-f]+)$/.exec(url)?.[1] ?? "");
    if (file) return createReadStream(file).pipe(response);
    response.writeHead(404).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
