import languageServices from "@pulumi/pulumi/proto/language_grpc_pb.js";
import { serve } from "../shared/serve.ts";
import { languageRuntime } from "./runtime.ts";

await serve((server) => server.addService(languageServices.LanguageRuntimeService, languageRuntime()));
