/** A client of a Jupyter server, as far as the tests need one: its REST interface and a kernel's websocket. */
import { randomUUID } from "node:crypto";

/** What a kernel prints, or the error it raises. */
export interface Execution {
  output: string;
  error: string | undefined;
}

function endpoint(url: string, path: string): { at: URL; token: string } {
  const token = new URL(url).searchParams.get("token") ?? "";
  return { at: new URL(path, url), token };
}

/** Status of a request to a server, with the token that its url carries or with another one. */
export async function status(url: string, path: string, token?: string): Promise<number> {
  const { at, token: own } = endpoint(url, path);
  const headers: Record<string, string> = token === "" ? {} : { authorization: `token ${token ?? own}` };
  return (await fetch(at, { headers, redirect: "manual" })).status;
}

/** Runs code in a fresh Python kernel of the server at `url` (with its token) and ends the kernel. */
export async function execute(url: string, code: string): Promise<Execution> {
  const { at, token } = endpoint(url, "/api/kernels");
  const headers = { authorization: `token ${token}` };
  const started = await fetch(at, { method: "POST", headers, body: "{}" });
  if (!started.ok) throw new Error(`no kernel: ${started.status} ${await started.text()}`);
  const { id } = (await started.json()) as { id: string };
  try {
    return await talk(new URL(`/api/kernels/${id}/channels?token=${token}`, url), code);
  } finally {
    await fetch(new URL(`/api/kernels/${id}`, url), { method: "DELETE", headers });
  }
}

function talk(channels: URL, code: string): Promise<Execution> {
  channels.protocol = "ws:";
  const socket = new WebSocket(channels);
  const request = randomUUID();
  const result: Execution = { output: "", error: undefined };
  return new Promise((resolve, reject) => {
    socket.onerror = () => reject(new Error(`the websocket ${channels.pathname} failed`));
    socket.onclose = () => reject(new Error(`the websocket ${channels.pathname} was closed`));
    socket.onopen = () =>
      socket.send(
        JSON.stringify({
          channel: "shell",
          header: {
            msg_id: request,
            msg_type: "execute_request",
            session: request,
            username: "",
            version: "5.3",
          },
          parent_header: {},
          metadata: {},
          content: { code, silent: false, store_history: false, allow_stdin: false, stop_on_error: true },
        }),
      );
    socket.onmessage = ({ data }) => {
      const { msg_type: type, parent_header: parent, content } = JSON.parse(String(data));
      if (parent?.msg_id !== request) return;
      if (type === "stream") result.output += content.text;
      if (type === "error") result.error = `${content.ename}: ${content.evalue}`;
      if (type === "status" && content.execution_state === "idle") {
        socket.onclose = null;
        socket.close();
        resolve(result);
      }
    };
  });
}
