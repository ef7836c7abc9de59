/** What the npm scripts of developers start: runs on any Node from 20 on with nothing installed. */
import { bootstrap } from "../cli/system/bootstrap.mjs";

bootstrap("scripts/main.ts");
