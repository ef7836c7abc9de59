import { fstatSync } from "node:fs";
import grpc from "@grpc/grpc-js";

/** The address of the engine that started this plugin: the first argument that is not a flag. */
export function engineAddress(args: readonly string[] = process.argv.slice(2)): string | undefined {
  return args.find((arg, index) => !arg.startsWith("-") && args[index - 1] !== "--tracing");
}

/** Engine and plugins put no limit on the size of a message: a state can be large. */
export const channelOptions = {
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
};

/**
 * Serves `services` to the engine until the engine has no more use for them: listens on a free loopback port and
 * prints it on stdout, which is how the engine learns where its plugin is.
 */
export async function serve(services: (server: grpc.Server) => void): Promise<void> {
  const server = new grpc.Server(channelOptions);
  services(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  endWithEngine();
  process.stdout.write(`${port}\n`);
}

/**
 * Ends this process with the engine. The engine says goodbye with SIGINT; when it was killed it cannot, but then the
 * pipe it holds to the plugin's stdin closes. What must not outlive the plugin is cleaned up on "exit".
 */
function endWithEngine(): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(0));
  // Nobody to outlive when a person starts the plugin by hand: stdin is a terminal or /dev/null then.
  const stdin = fstatSync(0);
  if (!stdin.isFIFO() && !stdin.isSocket()) return;
  process.stdin.on("close", () => process.exit(0));
  process.stdin.resume();
}

/** An error as gRPC carries it: its message and nothing else. */
export function plainError(error: unknown): Partial<grpc.StatusObject> {
  return { code: grpc.status.UNKNOWN, details: error instanceof Error ? error.message : String(error) };
}

/** A method with one request and one response, from an async function; what that throws goes through `describe`. */
export function unaryMethod<Request, Response>(
  handle: (request: Request, call: grpc.ServerUnaryCall<Request, Response>) => Promise<Response>,
  describe = plainError,
): grpc.handleUnaryCall<Request, Response> {
  return (call, callback) => {
    handle(call.request, call).then(
      (response) => callback(null, response),
      (error) => callback(describe(error)),
    );
  };
}
