import grpc from "@grpc/grpc-js";
import engineServices from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import engineMessages from "@pulumi/pulumi/proto/engine_pb.js";
import { channelOptions } from "./serve.ts";

/** Says something about a resource in the engine's display. */
export interface Log {
  /** A line that stays in the output of `up`. */
  info(message: string): void;
  /** A warning that stays in the output of `up`. */
  warning(message: string): void;
  /** Progress: shown beside the resource while it is worked on, not kept. */
  status(message: string): void;
  /** Resolves when the engine has everything that was said so far. */
  flush(): Promise<void>;
}

/** The log of one resource. Without an engine (a plugin started by hand) nothing is said. */
export function engineLog(address: string | undefined): (urn: string) => Log {
  const client =
    address === undefined
      ? undefined
      : new engineServices.EngineClient(address, grpc.credentials.createInsecure(), channelOptions);
  const { LogRequest, LogSeverity } = engineMessages;
  return (urn) => {
    // One request at a time: the engine shows lines in the order in which they arrive.
    let last: Promise<void> = Promise.resolve();
    const send = (severity: number, message: string, ephemeral: boolean) => {
      if (client === undefined) return;
      const request = new LogRequest();
      request.setUrn(urn).setSeverity(severity).setMessage(message).setEphemeral(ephemeral);
      // A line that cannot be delivered is no reason to fail the work it speaks of.
      last = last.then(() => new Promise((resolve) => client.log(request, () => resolve())));
    };
    return {
      info: (message) => send(LogSeverity.INFO, message, false),
      warning: (message) => send(LogSeverity.WARNING, message, false),
      status: (message) => send(LogSeverity.INFO, message, true),
      flush: () => last,
    };
  };
}
