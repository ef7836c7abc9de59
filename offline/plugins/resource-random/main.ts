import { serveProvider } from "../shared/provider.ts";
import { randomPassword } from "./password.ts";

await serveProvider({
  name: "random",
  version: "4.21.2",
  resources: {
    "random:index/randomPassword:RandomPassword": randomPassword,
  },
});
