import { serveProvider } from "../shared/provider.ts";
import { dockerProvider } from "./provider.ts";

await serveProvider(dockerProvider());
