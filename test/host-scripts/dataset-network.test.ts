import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { zip } from "../support/archives.ts";
import {
  datasetHost,
  LARGE,
  large,
  PICTURES,
  sha256,
  UNPACKED,
  type Wanted,
} from "../support/dataset-host.ts";
import { pathWith } from "../support/host-script.ts";
import type { Handler } from "../support/loopback-server.ts";
import { type LoopbackProxy, startHttpProxy, startSocksProxy } from "../support/proxies.ts";

// Two busy cores start a process in some ten milliseconds, and a run starts a hundred.
vi.setConfig({ testTimeout: 60_000 });

const host = datasetHost();
const { scratch, dataIn, expectNothingInPlace } = host;

const bytes = zip(PICTURES);
const send =
  (body: Uint8Array): Handler =>
  (_, response) =>
    void response.writeHead(200, { "Content-Length": body.length }).end(body);
const refuse: Handler = (_, response) => void response.writeHead(403).end();

describe("dataset and addresses that are not for everybody", () => {
  const fetchSet = (wanted: Wanted) => host.fetch(wanted);

  /** Serves a file to the first request for it, whatever it asks. */
  const serveOnce = (path: string, body: Uint8Array) => {
    let asked = false;
    host.server.handle(path, (request, response) => {
      (asked ? refuse : send(body))(request, response);
      asked = true;
    });
  };

  it.each(["a hash", "no hash"])("has a file whose address is good once, with %s", async (hash) => {
    serveOnce("/once/set.zip", bytes);
    const run = await fetchSet({ path: "/once/set.zip", ...(hash === "a hash" ? { bytes } : {}) });
    expect(run.stderr).toContain("created");
    expect(host.server.requests.map(({ method }) => method)).toEqual(["GET"]);
    expect(dataIn("set")).toEqual(UNPACKED);
  });

  it("has one that others would download in several places at once", async () => {
    serveOnce("/once/set.zip", large);
    expect((await fetchSet({ path: "/once/set.zip" })).stderr).toContain("created");
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });

  it("brings the cookie along that a redirection sets", async () => {
    host.server.handle("/login/", (_, response) => {
      response.writeHead(302, { Location: "/members/set.zip", "Set-Cookie": "session=canary; Path=/" }).end();
    });
    host.server.handle("/members/", (request, response) => {
      const known = request.headers.cookie?.includes("session=canary");
      (known ? send(bytes) : refuse)(request, response);
    });
    const run = await fetchSet({ path: "/login/set.zip", bytes });
    expect(run.stderr).toContain("created");
    expect(run.stderr).not.toContain("canary");
  });
});

describe("dataset and a server that is too slow", () => {
  const bits = Buffer.from("0123456789".repeat(10_000));
  const more = { SPEED_TIME: "2" };

  it("gives it up for the next url", async () => {
    host.server.serve("/drip/a.csv", bits, { rate: 20 });
    host.server.serve("/a.csv", bits);
    const urls = `${host.server.url("/drip/a.csv")}\n${host.server.url("/a.csv")}`;
    const run = await host.fetch({ urls, sha256: sha256(bits), more });
    expect(run.stderr).toContain(
      `cannot download ${host.server.url("/drip/a.csv")}: less than 1000 bytes a second for 2 seconds`,
    );
    expect(run.stderr).toContain("created");
    expect(dataIn("set")).toEqual({ "a.csv": bits.toString() });
  });

  it("waits for one that is slow and gets there", async () => {
    host.server.serve("/a.csv", bits, { rate: 20_000 });
    const run = await host.fetch({ path: "/a.csv", sha256: sha256(bits), more });
    expect(run.stderr).toContain("created");
    expect(host.gets()).toHaveLength(1);
  });

  it("goes on by a new connection where one has stalled", async () => {
    const half = large.length / 2;
    host.server.serve("/set.zip", large, { faults: [{ kind: "hold", after: half }] });
    const run = await host.fetch({ bytes: large, more: { ...more, CONNECTIONS: "1" } });
    expect(run.stderr).toContain("created");
    expect(host.gets().at(-1)?.range).toBeDefined();
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });
});

describe("dataset and proxies", () => {
  let http: LoopbackProxy;
  let socks: LoopbackProxy;
  beforeAll(async () => {
    [http, socks] = await Promise.all([startHttpProxy(), startSocksProxy()]);
    host.server.handle("/inside/", (request, response) => {
      const led = http.leads(request.socket) || socks.leads(request.socket);
      (led ? send(bytes) : refuse)(request, response);
    });
  });
  afterAll(() => Promise.all([http.close(), socks.close()]));
  beforeEach(() => {
    http.targets.length = 0;
    socks.targets.length = 0;
  });
  /** A name that only a proxy of these leads anywhere, and the server itself. */
  const named = () => `http://files.invalid:${new URL(host.server.url("/")).port}/inside/set.zip`;

  describe("of HTTP", () => {
    it.each(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])("takes %s", async (variable) => {
      const run = await host.fetch({ urls: named(), more: { [variable]: `http://${http.address}` } });
      expect(run.stderr).toContain("created");
      expect(new Set(http.targets)).toEqual(new Set([new URL(named()).host]));
      const here = { path: "/inside/set.zip", folder: "here", more: { [variable]: http.address } };
      expect((await host.fetch(here)).stderr).toContain("created");
    });

    it.each([
      "https_proxy",
      "HTTPS_PROXY",
      "all_proxy",
      "ALL_PROXY",
    ])("takes %s for https, and goes by no other way", async (variable) => {
      const more = { [variable]: `http://${http.address}`, SPEED_TIME: "10" };
      // Nothing here speaks TLS.
      const urls = host.server.url("/inside/set.zip").replace("http:", "https:");
      expect(await host.fetch({ urls, more })).toMatchObject({ code: 1, stdout: "" });
      expect(new Set(http.targets)).toEqual(new Set([new URL(urls).host]));
      expectNothingInPlace();
    });

    it.each<Record<string, string>>([
      { no_proxy: "files.invalid, 127.0.0.1" },
      { NO_PROXY: "127.0.0.1" },
      { no_proxy: "*" },
    ])("takes %o", async (variable) => {
      host.server.serve("/set.zip", bytes);
      const more = { http_proxy: `http://${http.address}`, ...variable };
      expect((await host.fetch({ more })).stderr).toContain("created");
      expect(http.targets).toEqual([]);
    });

    it("leaves out what is below a domain, and nothing that only ends like it", async () => {
      const more = { http_proxy: `http://${http.address}`, no_proxy: "invalid" };
      // No name below "invalid" leads anywhere: without the proxy there is no answer.
      const below = await host.fetch({ urls: named(), more });
      expect(below).toMatchObject({ code: 1, stdout: "" });
      expect(http.targets).toEqual([]);
      const other = { ...more, no_proxy: "les.invalid" };
      expect((await host.fetch({ urls: named(), more: other })).stderr).toContain("created");
    });

    it("does not pass by one that does not answer", async () => {
      const run = await host.fetch({ path: "/inside/set.zip", more: { ALL_PROXY: "http://127.0.0.1:1" } });
      expect(run).toMatchObject({ code: 1, stdout: "" });
      expect(host.server.requests).toEqual([]);
    });
  });

  const withCurl = () => ({ path: pathWith(join(scratch, "with curl"), "curl python3") });
  const withoutCurl = () => ({ path: pathWith(join(scratch, "without curl"), "python3") });

  it.each([
    "all_proxy",
    "ALL_PROXY",
    "http_proxy",
  ])("has curl speak SOCKS, where %s says so", async (variable) => {
    const run = await host.fetch(
      { urls: named(), more: { [variable]: `socks5h://${socks.address}` } },
      withCurl(),
    );
    expect(run.stderr).toContain("created");
    // The name is looked up where the proxy is.
    expect(socks.targets).toEqual([new URL(named()).host]);
    const here = {
      path: "/inside/set.zip",
      folder: "here",
      more: { [variable]: `SOCKS5://${socks.address}` },
    };
    expect((await host.fetch(here, withCurl())).stderr).toContain("created");
    expect(dataIn("here")).toEqual(UNPACKED);
  });

  it("says so where no program speaks SOCKS, and sends nothing", async () => {
    const more = { ALL_PROXY: `socks5h://me:canary@${socks.address}` };
    const run = await host.fetch({ path: "/inside/set.zip", more }, withoutCurl());
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain("only curl speaks socks5h");
    expect(run.stderr).toContain("sudo apt-get install curl");
    expect(run.stderr).not.toContain("canary");
    expect(host.server.requests).toEqual([]);
    expect(socks.targets).toEqual([]);
  });
});

describe("dataset and https", () => {
  let server: Server;
  let port = 0;
  let proxy: LoopbackProxy;
  const certificate = join(scratch, "certificate.pem");
  beforeAll(async () => {
    const key = join(scratch, "key.pem");
    const made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
    const names = ["-addext", "subjectAltName=DNS:localhost"];
    execFileSync("openssl", ["req", ...made, ...names, "-keyout", key, "-out", certificate], {
      stdio: "ignore",
    });
    server = createServer(
      { key: readFileSync(key), cert: readFileSync(certificate) },
      (request, response) => {
        const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
        const start = Number(from ?? 0);
        const end = to ? Number(to) + 1 : large.length;
        const range =
          from === undefined ? {} : { "Content-Range": `bytes ${start}-${end - 1}/${large.length}` };
        response.writeHead(from === undefined ? 200 : 206, { "Content-Length": end - start, ...range });
        response.end(large.subarray(start, end));
      },
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
    proxy = await startHttpProxy();
  });
  afterAll(async () => {
    server.close();
    server.closeAllConnections();
    await proxy.close();
  });
  const fetchFrom = (name: string, more: Record<string, string>) =>
    host.fetch({ urls: `https://${name}:${port}/set.zip`, bytes: large, more });

  it("takes nothing from a server whose certificate nobody vouches for, or is of another name", async () => {
    const unknown = await fetchFrom("localhost", {});
    expect(unknown).toMatchObject({ code: 1, stdout: "" });
    expect(unknown.stderr).toContain("its certificate is not to be trusted: self-signed certificate");
    const other = await fetchFrom("127.0.0.1", { SSL_CERT_FILE: certificate });
    expect(other).toMatchObject({ code: 1, stdout: "" });
    expect(other.stderr).toContain("its certificate is not to be trusted");
    expectNothingInPlace();
  });

  it.each([
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
  ])("takes the certificates that %s names, over several connections", async (variable) => {
    expect((await fetchFrom("localhost", { [variable]: certificate })).stderr).toContain("created");
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });

  it("goes through a proxy, with the server's certificate checked behind it", async () => {
    const more = { https_proxy: `http://${proxy.address}`, SSL_CERT_FILE: certificate };
    expect((await fetchFrom("localhost", more)).stderr).toContain("created");
    expect(new Set(proxy.targets)).toEqual(new Set([`localhost:${port}`]));
    expect(dataIn("set")["a.bin"]).toBe(LARGE);
  });
});
