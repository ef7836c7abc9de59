import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { describe, expect, it } from "vitest";
import { dialStdio } from "../../components/host/dial-stdio.ts";

/** Asks what a command answers that stands for ssh and the daemon behind it. */
async function ask(script: string): Promise<{ status: number | undefined; body: string }> {
  class Dial extends Agent {
    override createConnection() {
      return dialStdio(["sh", "-c", script]);
    }
  }
  const asked = request({ host: "docker", path: "/_ping", agent: new Dial() });
  asked.end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  const body = (await response.setEncoding("utf8").toArray()).join("");
  return { status: response.statusCode, body };
}

describe("a daemon behind ssh", () => {
  it("is spoken to over the command's input and output", async () => {
    const server =
      'read -r line; printf "HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" 20 "$line"; cat >/dev/null';
    expect((await ask(server)).body).toBe("GET /_ping HTTP/1.1\r");
  });

  it.each([
    "exit 255",
    "head -n 1 >/dev/null; sleep 0.2; exit 255",
  ])("that is not reached is answered for with what ssh said: %s", async (end) => {
    expect(await ask(`echo 'connect to host gpü port 22: "refused" 100% $x' >&2; ${end}`)).toEqual({
      status: 502,
      body: 'ssh: connect to host gpü port 22: "refused" 100% $x',
    });
  });
});
