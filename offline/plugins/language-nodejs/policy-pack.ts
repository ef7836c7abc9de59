import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import type grpc from "@grpc/grpc-js";
import type * as pb from "@pulumi/pulumi/proto/language_pb.d.ts";
import messages from "@pulumi/pulumi/proto/language_pb.js";
import { endWithPlugin, ownGroup } from "../shared/child.ts";
import { plainError } from "../shared/serve.ts";

type Call = grpc.ServerWritableStream<pb.RunPluginRequest, pb.RunPluginResponse>;

/** Runs a policy pack for as long as the engine asks it; what it prints goes to the engine, which reads its port there. */
export function runPolicyPack(call: Call): void {
  const fail = (error: unknown) => call.emit("error", plainError(error));
  const { request } = call;
  if (request.getKind() !== "analyzer") {
    return void fail(
      new Error(`the stand-in for pulumi-language-nodejs runs no ${request.getKind()} plugins`),
    );
  }
  const directory = request.getInfo()?.getProgramDirectory() || request.getProgram();
  const runner = createRequire(join(directory, "package.json")).resolve("@pulumi/pulumi/cmd/run-policy-pack");
  // This very Node, not the first one on PATH: it is known to run TypeScript.
  const child = spawn(process.execPath, [runner, ...request.getArgsList(), directory], {
    cwd: directory,
    env: { ...process.env, ...Object.fromEntries(request.getEnvList().map(variable)) },
    stdio: ["ignore", "pipe", "pipe"],
    ...ownGroup,
  });
  call.on("cancelled", endWithPlugin(child));
  child.stdout.on("data", (data: Buffer) => call.write(new messages.RunPluginResponse().setStdout(data)));
  child.stderr.on("data", (data: Buffer) => call.write(new messages.RunPluginResponse().setStderr(data)));
  child.on("error", fail);
  child.on("close", (code) => {
    call.write(new messages.RunPluginResponse().setExitcode(code ?? 1));
    call.end();
  });
}

function variable(text: string): [string, string] {
  const at = text.indexOf("=");
  return [text.slice(0, at), text.slice(at + 1)];
}
