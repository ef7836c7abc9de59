import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import type grpc from "@grpc/grpc-js";
import type * as pb from "@pulumi/pulumi/proto/language_pb.d.ts";
import messages from "@pulumi/pulumi/proto/language_pb.js";
import pluginMessages from "@pulumi/pulumi/proto/plugin_pb.js";
import emptyMessages from "google-protobuf/google/protobuf/empty_pb.js";
import { endWithPlugin, ownGroup } from "../shared/child.ts";
import { engineAddress, plainError, unaryMethod } from "../shared/serve.ts";
import { parseOptions } from "./options.ts";
import { dependencies, requiredPlugins } from "./packages.ts";
import { runPolicyPack } from "./policy-pack.ts";
import { runProgram } from "./program.ts";

/** The language plugin's side of the plugin protocol; what the engine may do without is left unimplemented. */
export function languageRuntime(): grpc.UntypedServiceImplementation {
  const cancelled = new AbortController();
  let engine = engineAddress() ?? "";

  return {
    handshake: unaryMethod(async (request: pb.LanguageHandshakeRequest) => {
      engine = request.getEngineAddress();
      return new messages.LanguageHandshakeResponse();
    }),
    getPluginInfo: unaryMethod(async () => {
      const { version } = createRequire(import.meta.url)("@pulumi/pulumi/package.json");
      return new pluginMessages.PluginInfo().setVersion(version);
    }),
    getRequiredPackages: unaryMethod(async (request: pb.GetRequiredPackagesRequest) => {
      const plugins = await requiredPlugins(programDirectory(request));
      const packages = plugins.map(({ name, version, server = "" }) =>
        new pluginMessages.PackageDependency()
          .setKind("resource")
          .setName(name)
          .setVersion(version)
          .setServer(server),
      );
      return new messages.GetRequiredPackagesResponse().setPackagesList(packages);
    }),
    getProgramDependencies: unaryMethod(async (request: pb.GetProgramDependenciesRequest) => {
      const found = await dependencies(programDirectory(request), request.getTransitivedependencies());
      return new messages.GetProgramDependenciesResponse().setDependenciesList(
        found.map(({ name, version }) => new messages.DependencyInfo().setName(name).setVersion(version)),
      );
    }),
    about: unaryMethod(async () => {
      const response = new messages.AboutResponse()
        .setExecutable(process.execPath)
        .setVersion(process.version);
      response.getMetadataMap().set("packagemanager", "npm");
      return response;
    }),
    runtimeOptionsPrompts: unaryMethod(async () => new messages.RuntimeOptionsResponse()),
    template: unaryMethod(async () => new messages.TemplateResponse()),
    installDependencies,
    runPlugin: runPolicyPack,
    run: unaryMethod((request: pb.RunRequest, call) => {
      const ended = new AbortController();
      call.on("cancelled", () => ended.abort());
      return run(request, engine, AbortSignal.any([cancelled.signal, ended.signal]));
    }),
    cancel: unaryMethod(async () => {
      cancelled.abort();
      return new emptyMessages.Empty();
    }),
  };
}

async function run(request: pb.RunRequest, engine: string, signal: AbortSignal): Promise<pb.RunResponse> {
  if (request.getAttachDebugger())
    throw new Error(
      "the stand-in for pulumi-language-nodejs cannot attach a debugger; use the official plugin",
    );
  const info = request.getInfo();
  const { error = "", bail = false } = await runProgram(
    {
      monitorAddress: request.getMonitorAddress(),
      engineAddress: engine,
      organization: request.getOrganization(),
      project: request.getProject(),
      stack: request.getStack(),
      rootDirectory: info?.getRootDirectory() ?? "",
      programDirectory: programDirectory(request),
      entryPoint: info?.getEntryPoint() ?? ".",
      dryRun: request.getDryrun(),
      parallel: request.getParallel(),
      tracing: tracingEndpoint(process.argv),
      args: request.getArgsList(),
      config: new Map(request.getConfigMap().toArray()),
      configSecretKeys: request.getConfigsecretkeysList(),
      options: parseOptions(info?.getOptions()?.toJavaScript() ?? {}),
    },
    signal,
  );
  return new messages.RunResponse().setError(error).setBail(bail);
}

/** `pulumi install`: npm's own words go to the person as they come. */
function installDependencies(
  call: grpc.ServerWritableStream<pb.InstallDependenciesRequest, pb.InstallDependenciesResponse>,
): void {
  const fail = (error: unknown) => call.emit("error", plainError(error));
  const child = spawn("npm", ["install", "--loglevel=error"], {
    cwd: programDirectory(call.request),
    stdio: ["ignore", "pipe", "pipe"],
    ...ownGroup,
  });
  const kill = endWithPlugin(child);
  call.on("cancelled", kill);
  child.stdout.on("data", (data: Buffer) =>
    call.write(new messages.InstallDependenciesResponse().setStdout(data)),
  );
  child.stderr.on("data", (data: Buffer) =>
    call.write(new messages.InstallDependenciesResponse().setStderr(data)),
  );
  child.on("error", (error) => fail(new Error(`cannot run npm: ${error.message}`)));
  child.on("close", (code) => (code === 0 ? call.end() : fail(new Error(`npm install: exit code ${code}`))));
}

function programDirectory(request: { getInfo(): pb.ProgramInfo | undefined }): string {
  return request.getInfo()?.getProgramDirectory() ?? process.cwd();
}

function tracingEndpoint(args: readonly string[]): string | undefined {
  const flag = args.indexOf("--tracing");
  return flag < 0 ? undefined : args[flag + 1];
}
