/** Speaking to the Docker daemon of another machine. */
import { spawn } from "node:child_process";
import type { Socket } from "node:net";

/**
 * Runs a program with descriptor 3, a socket, for its input and output. What it says when it fails becomes an answer that
 * any client of Docker shows to the person; else they would only learn that a connection was cut.
 */
const DIAL = `
said=$(exec 4>&3; "$@" <&3 2>&1 >&4 3>&-) && exit
LC_ALL=C
said="ssh: $said"
head='HTTP/1.1 502 Bad Gateway\\r\\nContent-Type: text/plain\\r\\nConnection: close\\r\\nContent-Length: '
printf "$head%s\\r\\n\\r\\n%s" "\${#said}" "$said" >&3
# A request that is still being written would fail in place of being answered.
exec cat <&3`;

/**
 * A connection to a Docker daemon through `docker system dial-stdio`, by way of a command.
 *
 * A true socket, as clients want it, which upgrade connections: a build speaks HTTP/2 over one.
 *
 * @param command words of the ssh command that runs `docker system dial-stdio` there
 */
export function dialStdio(command: readonly string[]): Socket {
  const child = spawn("/bin/sh", ["-c", DIAL, "sh", ...command], {
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  const socket = child.stdio[3] as Socket;
  child.on("error", (error) => socket.destroy(error));
  // It ends with the socket.
  child.unref();
  return socket;
}
