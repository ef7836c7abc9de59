/** The health check of a notebook's container, as Docker runs it: by the image's shell, with the notebook's environment. */
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { constants } from "../../components/workspace/container.ts";
import { lacks, missingPrograms, pathWith } from "../support/host-script.ts";
import { startLoopbackServer } from "../support/loopback-server.ts";
import { ownFolder } from "../support/own-folder.ts";

const scratch = ownFolder();

const NOBODY = "http://127.0.0.1:1";
const PROXIES = { http_proxy: NOBODY, HTTP_PROXY: NOBODY, all_proxy: NOBODY, ALL_PROXY: NOBODY };

describe.each(["curl", "wget"])("health by %s", (tool) => {
  it.skipIf(lacks(missingPrograms(tool), "the health check"))(
    "asks the server itself, whatever proxy is set",
    async () => {
      const server = await startLoopbackServer();
      server.serve("/api", Buffer.from('{"version": "2.20.0"}'));
      const env = {
        PATH: pathWith(join(scratch, tool), tool),
        JUPYTER_PORT: new URL(server.url("/")).port,
        ...PROXIES,
      };
      const [, test = ""] = constants.healthcheck.tests;
      const check = () => execa("/bin/sh", ["-c", test], { env, extendEnv: false, reject: false });
      expect(await check()).toMatchObject({ exitCode: 0 });
      expect(server.requests.map(({ url }) => url)).toEqual(["/api"]);
      await server.close();
      expect((await check()).exitCode).not.toBe(0);
    },
  );
});
