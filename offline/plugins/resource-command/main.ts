import { serveProvider } from "../shared/provider.ts";
import { localCommand } from "./local-command.ts";

await serveProvider({
  name: "command",
  version: "1.2.1",
  resources: { "command:local:Command": localCommand },
});
