import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { describe, expect, it } from "vitest";
import { dialStdio } from "../../../../machine/docker/dial-stdio.ts";

/** Asks what a command answers that stands for ssh and the daemon behind it. */
async function ask(script: string, body = ""): Promise<{ status: number | undefined; body: string }> {
  class Dial extends Agent {
    override createConnection() {
      return dialStdio(["sh", "-c", script]);
    }
  }
  const asked = request({ host: "docker", path: "/_ping", method: "POST", agent: new Dial() });
  asked.end(body);
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  const text = (await response.setEncoding("utf8").toArray()).join("");
  return { status: response.statusCode, body: text };
}

/** More than a pipe holds: what a build sends is still being written when ssh fails. */
const A_BUILD = "x".repeat(5_000_000);

describe("a daemon behind ssh", () => {
  it("is spoken to over the command's input and output", async () => {
    const server =
      'read -r line; printf "HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" 21 "$line"; cat >/dev/null';
    expect((await ask(server)).body).toBe("POST /_ping HTTP/1.1\r");
  });

  it.each([
    ["before it is asked", "exit 255"],
    ["while it is asked", "head -n 1 >/dev/null; sleep 0.2; exit 255"],
  ])("that is lost %s is answered for with what ssh said", async (_, end) => {
    expect(await ask(`echo 'connect to host gpü port 22: "refused" 100% $x' >&2; ${end}`, A_BUILD)).toEqual({
      status: 502,
      body: 'ssh: connect to host gpü port 22: "refused" 100% $x',
    });
  });
});
