#!/usr/bin/env node
/** What the npm scripts start, and the command `gpubox`: runs on any Node from 20 on with nothing installed. */
import { basename } from "node:path";
import { bootstrap } from "./system/bootstrap.mjs";

/** How the person called: the command is a link to this file, which an npm script names itself. */
function caller({ argv, env }) {
  if (basename(argv[1]) === "gpubox.mjs") return "npm";
  return env.npm_lifecycle_event === "npx" ? "npx gpubox" : "gpubox";
}

bootstrap("cli/main.ts", { GPUBOX_CALLER: caller(process) });
