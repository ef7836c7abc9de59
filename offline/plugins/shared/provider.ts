import grpc from "@grpc/grpc-js";
import pluginMessages from "@pulumi/pulumi/proto/plugin_pb.js";
import providerServices from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import type * as pb from "@pulumi/pulumi/proto/provider_pb.d.ts";
import messages from "@pulumi/pulumi/proto/provider_pb.js";
import statusMessages from "@pulumi/pulumi/proto/status_pb.js";
import anyMessages from "google-protobuf/google/protobuf/any_pb.js";
import emptyMessages from "google-protobuf/google/protobuf/empty_pb.js";
import structMessages from "google-protobuf/google/protobuf/struct_pb.js";
import { z } from "zod";
import { type CheckFailure, checkProperties } from "./check.ts";
import { type Change, type Diff, diffProperties } from "./diff.ts";
import { engineLog, type Log } from "./engine.ts";
import { engineAddress, plainError, serve, unaryMethod } from "./serve.ts";
import { type Properties, revealed, withoutDefaultsNote } from "./values.ts";

/** What every operation on a resource is told. */
export interface Operation {
  urn: string;
  /** The resource's name in the program. */
  name: string;
  /** Nothing may be touched: say what the outputs would be, unknown where only `up` can tell. */
  preview: boolean;
  /** Aborted when the person cancels the run. */
  signal: AbortSignal;
  log: Log;
  /** `customTimeouts` of the resource, in seconds; 0 when it has none. */
  timeout: number;
}

/** A resource as it was made: its id (may be empty at preview) and its outputs, inputs included. */
export interface Created {
  id: string;
  outputs: Properties;
}

/** One resource type. Values come without secret marks: the engine puts them back on outputs that equal inputs. */
export interface Resource {
  /** The inputs there are: a strict object, so that a property it does not name is an error. */
  schema: z.ZodType;
  /** What a schema cannot say about the inputs (they may hold unknown values). */
  check?(inputs: Properties): CheckFailure[];
  /** Inputs that the program left out and the provider fills in; `olds` is what they were, empty at first. */
  defaults?(inputs: Properties, olds: Properties, name: string): Properties;
  /** Input properties that cannot be changed in place; default: all, when there is no `update`. */
  replaces?: readonly string[];
  /** Overrides the comparison of the inputs. `state` is the outputs of the last run. */
  diff?(state: Properties, olds: Properties, news: Properties): Diff;
  create(inputs: Properties, operation: Operation): Promise<Created>;
  update?(id: string, state: Properties, inputs: Properties, operation: Operation): Promise<Properties>;
  delete?(id: string, state: Properties, operation: Operation): Promise<void>;
  /** The outputs as they are now, `undefined` when the resource is gone. Default: as they were. */
  read?(id: string, state: Properties, operation: Operation): Promise<Properties | undefined>;
}

/** A function of the package, as a program calls it: `getX(args)`. */
export interface PackageFunction {
  /** The arguments there are: a strict object. */
  schema: z.ZodType;
  /** The answer; an error is the program's to handle. */
  call(args: Properties): Promise<Properties>;
}

/** A provider plugin. */
export interface Provider {
  /** The package, as in `pulumi-resource-NAME`. */
  name: string;
  /** The version of the official plugin that it stands in for. */
  version: string;
  /** By type token. */
  resources: Readonly<Record<string, Resource>>;
  /** By token; default: none. */
  functions?: Readonly<Record<string, PackageFunction>>;
  /** The arguments of an explicit provider (`new docker.Provider(...)`) or of the stack's configuration. */
  config?: {
    schema: z.ZodType;
    /** Called once, before the first operation; arguments may be unknown at preview. */
    configure(args: Properties): Promise<void>;
  };
}

/** A resource that was made, but not as asked: it is kept in the state, and the next `up` repairs or replaces it. */
export class PartialFailure extends Error {
  readonly created: Created;
  constructor(message: string, created: Created, options?: ErrorOptions) {
    super(message, options);
    this.created = created;
  }
}

/** Serves the provider to the engine that started this process. */
export function serveProvider(provider: Provider): Promise<void> {
  const log = engineLog(engineAddress());
  return serve((server) =>
    server.addService(providerServices.ResourceProviderService, service(provider, log)),
  );
}

/** The plugin protocol on top of {@link Provider}; every method the engine may do without is left unimplemented. */
function service(provider: Provider, logFor: (urn: string) => Log): grpc.UntypedServiceImplementation {
  const cancelled = new AbortController();
  const configSchema = provider.config?.schema ?? z.strictObject({});
  const unsupported = (kind: string, token: string) =>
    new Error(
      `${kind} ${token} is not supported by the stand-in plugin pulumi-resource-${provider.name}: it knows ` +
        `${Object.keys(provider.resources).join(", ")}; put the official plugin on PATH to use it`,
    );
  const resource = (request: { getType(): string }): Resource => {
    const found = provider.resources[request.getType()];
    if (found === undefined) throw unsupported("resource type", request.getType());
    return found;
  };
  const operation = (
    request: { getUrn(): string; getName(): string },
    { preview = false, timeout = 0 } = {},
  ): Operation => ({
    urn: request.getUrn(),
    name: request.getName(),
    preview,
    timeout,
    signal: cancelled.signal,
    log: logFor(request.getUrn()),
  });

  return {
    checkConfig: unary(async (request: pb.CheckRequest) => {
      const inputs = properties(request.getNews());
      return checked(inputs, checkProperties(configSchema, withoutVersion(inputs)));
    }),
    diffConfig: unary(async (request: pb.DiffRequest) =>
      diffResponse(
        diffProperties(properties(request.getOldInputs()), properties(request.getNews()), () => false),
      ),
    ),
    configure: unary(async (request: pb.ConfigureRequest) => {
      await provider.config?.configure(withoutVersion(revealed(properties(request.getArgs()))));
      return new messages.ConfigureResponse().setSupportspreview(true);
    }),
    getPluginInfo: unary(async () => new pluginMessages.PluginInfo().setVersion(provider.version)),
    // The address is an argument already.
    attach: unary(async () => new emptyMessages.Empty()),
    cancel: unary(async () => {
      cancelled.abort(new Error("cancelled"));
      return new emptyMessages.Empty();
    }),
    invoke: unary(async (request: pb.InvokeRequest) => {
      const found = provider.functions?.[request.getTok()];
      if (found === undefined) throw unsupported("function", request.getTok());
      const args = properties(request.getArgs());
      const failures = checkProperties(found.schema, args);
      const response = new messages.InvokeResponse().setFailuresList(failures.map(failureMessage));
      return failures.length > 0 ? response : response.setReturn(struct(await found.call(args)));
    }),
    check: unary(async (request: pb.CheckRequest) => {
      const { schema, check, defaults } = resource(request);
      const given = withoutDefaultsNote(properties(request.getNews()));
      const inputs = defaults?.(given, properties(request.getOlds()), request.getName()) ?? given;
      const failures = checkProperties(schema, inputs);
      return checked(inputs, failures.length > 0 ? failures : (check?.(inputs) ?? []));
    }),
    diff: unary(async (request: pb.DiffRequest) => {
      const { diff, update, replaces } = resource(request);
      const olds = properties(request.getOldInputs());
      const news = properties(request.getNews());
      if (diff) return diffResponse(diff(properties(request.getOlds()), olds, news));
      const replacing = (property: string) => replaces?.includes(property) ?? update === undefined;
      return diffResponse(diffProperties(olds, news, replacing));
    }),
    create: unary(async (request: pb.CreateRequest) => {
      const context = operation(request, { preview: request.getPreview(), timeout: request.getTimeout() });
      const { id, outputs } = await finish(
        context,
        resource(request).create(properties(request.getProperties()), context),
      );
      return new messages.CreateResponse().setId(id).setProperties(struct(outputs));
    }),
    update: unary(async (request: pb.UpdateRequest) => {
      const context = operation(request, { preview: request.getPreview(), timeout: request.getTimeout() });
      const { update } = resource(request);
      if (update === undefined) throw new Error(`${request.getType()} cannot be updated in place`);
      const [state, inputs] = [properties(request.getOlds()), properties(request.getNews())];
      const outputs = await finish(context, update(request.getId(), state, inputs, context));
      return new messages.UpdateResponse().setProperties(struct(outputs));
    }),
    delete: unary(async (request: pb.DeleteRequest) => {
      const context = operation(request, { timeout: request.getTimeout() });
      const state = properties(request.getProperties());
      await finish(context, resource(request).delete?.(request.getId(), state, context));
      return new emptyMessages.Empty();
    }),
    read: unary(async (request: pb.ReadRequest) => {
      const { read } = resource(request);
      const inputs = properties(request.getInputs());
      const state = properties(request.getProperties());
      if (Object.keys(state).length === 0)
        throw new Error(
          `${request.getType()} ${request.getId()}: the stand-in plugin cannot look up or import resources`,
        );
      const context = operation(request, { timeout: request.getTimeout() });
      const outputs = read ? await finish(context, read(request.getId(), state, context)) : state;
      const response = new messages.ReadResponse();
      if (outputs === undefined) return response;
      return response.setId(request.getId()).setProperties(struct(outputs)).setInputs(struct(inputs));
    }),
  };
}

/** Waits for the work and for what it said, so that a resource's last line comes before its result. */
async function finish<T>(operation: Operation, work: Promise<T> | undefined): Promise<T> {
  try {
    return (await work) as T;
  } finally {
    await operation.log.flush();
  }
}

function unary<Request, Response>(handle: (request: Request) => Promise<Response>) {
  return unaryMethod(handle, grpcError);
}

function grpcError(error: unknown): Partial<grpc.StatusObject> {
  if (!(error instanceof PartialFailure)) return plainError(error);
  const details = error.message;
  const failed = new messages.ErrorResourceInitFailed()
    .setId(error.created.id)
    .setProperties(struct(error.created.outputs))
    .setReasonsList([details]);
  const any = new anyMessages.Any();
  any.pack(failed.serializeBinary(), "pulumirpc.ErrorResourceInitFailed");
  const status = new statusMessages.Status().setCode(grpc.status.UNKNOWN).setMessage(details);
  status.addDetails(any);
  const metadata = new grpc.Metadata();
  // The name under which gRPC carries more than a message.
  metadata.add("grpc-status-details-bin", Buffer.from(status.serializeBinary()));
  return { code: grpc.status.UNKNOWN, details, metadata };
}

/** The engine notes the version of an explicit provider among its arguments. */
function withoutVersion({ version: _, ...rest }: Properties): Properties {
  return rest;
}

function properties(message: structMessages.Struct | undefined): Properties {
  return (message?.toJavaScript() ?? {}) as Properties;
}

/** Properties without a value are left out: the protocol has no `undefined`. */
function struct(values: Properties): structMessages.Struct {
  return structMessages.Struct.fromJavaScript(JSON.parse(JSON.stringify(values)));
}

function checked(inputs: Properties, failures: CheckFailure[]): pb.CheckResponse {
  return new messages.CheckResponse().setInputs(struct(inputs)).setFailuresList(failures.map(failureMessage));
}

function failureMessage({ property, reason }: CheckFailure): pb.CheckFailure {
  return new messages.CheckFailure().setProperty(property).setReason(reason);
}

function diffResponse({ changes, replaces, deleteBeforeReplace = false }: Diff): pb.DiffResponse {
  const { DiffChanges } = messages.DiffResponse;
  const response = new messages.DiffResponse()
    .setChanges(changes.size > 0 ? DiffChanges.DIFF_SOME : DiffChanges.DIFF_NONE)
    .setReplacesList([...replaces])
    .setDiffsList([...new Set([...changes.keys()].map(topLevel))])
    .setDeletebeforereplace(deleteBeforeReplace)
    .setHasdetaileddiff(true);
  for (const [path, change] of changes) {
    const replaced = replaces.includes(topLevel(path));
    const kind = messages.PropertyDiff.Kind[kinds[change][replaced ? 1 : 0]];
    response.getDetaileddiffMap().set(path, new messages.PropertyDiff().setKind(kind));
  }
  return response;
}

function topLevel(path: string): string {
  return /^\w+/.exec(path)?.[0] ?? path;
}

const kinds = {
  add: ["ADD", "ADD_REPLACE"],
  delete: ["DELETE", "DELETE_REPLACE"],
  update: ["UPDATE", "UPDATE_REPLACE"],
} as const satisfies Record<Change, readonly [string, string]>;
