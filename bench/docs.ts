/** docs/performance.md and its plot, from the published figures. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../cli/context.ts";
import { plot } from "./plot.ts";
import { fillMarkers, formatMarkdown, type Results } from "./report.ts";

/** The published figures: those of the last whole run. */
export const PUBLISHED = join(ROOT, "bench", "results.json");

const PAGE = join(ROOT, "docs", "performance.md");
const PLOT = join(ROOT, "docs", "performance.svg");

export function readResults(file: string): Results {
  return JSON.parse(readFileSync(file, "utf8"));
}

/** Fills the page's table and draws the plot. */
export function writeDocs(): void {
  const results = readResults(PUBLISHED);
  const { machine, date, rows } = results;
  writeFileSync(PAGE, fillMarkers(readFileSync(PAGE, "utf8"), formatMarkdown(results)));
  const caption = `${date.slice(0, 10)}, ${machine.cores} cores of ${machine.cpu}, ${machine.memory} GB; less is better`;
  writeFileSync(PLOT, plot(rows, caption));
}
