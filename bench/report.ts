/** What a run found: as a table for the terminal, as JSON, and as a table for docs/performance.md. */
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { execa } from "execa";
import { findProgram } from "../test/support/host-script.ts";
import { isMet, type Round, type Row, type Spread } from "./harness.ts";

/** Where it ran. */
export interface Machine {
  system: string;
  kernel: string;
  cpu: string;
  cores: number;
  /** In GB of 1,000,000,000 bytes. */
  memory: number;
  /** Of the programs that were measured. */
  versions: Record<string, string>;
}

/** A row, and when it was measured. */
export type DatedRow = Row & { date: string };

/** A run, or several put together. */
export interface Results {
  /** What was typed. */
  command: string;
  date: string;
  /** Of the whole run. */
  seconds: number;
  /** Part of the full data set. */
  scale: number;
  machine: Machine;
  rows: DatedRow[];
  /** What could not be measured, and why. */
  missing: { measurement: number; reason: string }[];
  /** Every value behind the rows. */
  rounds: Record<string, Round[]>;
}

/** Puts a run's measurements in the place of an earlier run's. */
export function mergeResults(earlier: Results, run: Results): Results {
  const measured = new Set([...run.rows, ...run.missing].map(({ measurement }) => measurement));
  const others = <T extends { measurement: number }>(entries: T[]) =>
    entries.filter(({ measurement }) => !measured.has(measurement));
  const inOrder = <T extends { measurement: number }>(entries: T[]) =>
    entries.toSorted((a, b) => a.measurement - b.measurement);
  return {
    ...run,
    command: [...new Set([earlier.command, run.command])].join(" and "),
    seconds: earlier.seconds + run.seconds,
    rows: inOrder([...others(earlier.rows), ...run.rows]),
    missing: inOrder([...others(earlier.missing), ...run.missing]),
    rounds: { ...earlier.rounds, ...run.rounds },
  };
}

/** Where it runs. */
export async function inspectMachine(): Promise<Machine> {
  const first = async (file: string, ...args: string[]) => {
    const { stdout, exitCode } = await execa(file, args, { reject: false });
    return exitCode === 0 ? (/\d+\.\d[\w.+-]*/.exec(stdout)?.[0] ?? "") : "";
  };
  const versions = {
    node: process.versions.node,
    pulumi: await first("pulumi", "version"),
    dockerd: await first("dockerd", "--version"),
    // The one that a script finds: see host-script.ts.
    python3: await first(findProgram("python3") ?? "python3", "--version"),
    aria2c: await first("aria2c", "--version"),
    bsdtar: await first("bsdtar", "--version"),
    curl: await first("curl", "--version"),
    wget: await first("wget", "--version"),
    unzip: await first("unzip", "-v"),
  };
  const system = await execa("sh", ["-c", '. /etc/os-release && printf %s "$PRETTY_NAME"'], {
    reject: false,
  });
  return {
    system: system.stdout || process.platform,
    kernel: release(),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memory: Math.round(totalmem() / 1e8) / 10,
    versions: Object.fromEntries(Object.entries(versions).filter(([, version]) => version !== "")),
  };
}

/** Three digits, and the unit: "10.1 s", "0.152 s", "748 MB"; a dash where there is no valid round. */
export function formatValue(value: number, unit: Row["unit"]): string {
  if (Number.isNaN(value)) return "–";
  const [shown, name] = unit === "bytes" ? [value / 1e6, "MB"] : [value, unit];
  return `${shown >= 1000 ? shown.toFixed(0) : shown.toPrecision(3)} ${name}`;
}

/** "0.22 (0.21–0.24)". */
export function formatRatio(ratio: Spread): string {
  const short = (value: number) =>
    value >= 100 ? value.toFixed(0) : value < 0.1 ? value.toFixed(3) : value.toFixed(2);
  return `${short(ratio.median)} (${short(ratio.min)}–${short(ratio.max)})`;
}

/** A row in words. */
function cells(row: Row): string[] {
  const { measurement, what, against, unit, ours, theirs, ratio, aim, rounds, invalid } = row;
  const met = isMet(row);
  return [
    String(measurement),
    what,
    ours ? formatValue(ours.median, unit) : "–",
    against,
    theirs ? formatValue(theirs.median, unit) : "–",
    ratio ? formatRatio(ratio) : "no valid round",
    [aim === undefined ? "" : `≤${aim}`, met === undefined ? "" : met ? "met" : "missed"]
      .filter(Boolean)
      .join(" "),
    `${rounds - invalid}/${rounds}`,
  ];
}

const HEAD = ["#", "what", "gpubox", "against", "theirs", "ratio (min–max)", "aim", "valid"];

/** Columns that hold numbers are flush right. */
const RIGHT = new Set([0, 2, 4, 7]);

/** What else a row has to say, in one line. */
export function remarks({ counters = {}, note }: Row): string {
  const counted = Object.entries(counters).map(([said, holds]) => (holds ? said : `${said}: too many`));
  return [...counted, ...(note ? [note] : [])].join("; ");
}

/** The table for the terminal, with a line below each row that has more to say. */
export function formatTable({ rows, missing }: Pick<Results, "rows" | "missing">): string {
  const table = [HEAD, ...rows.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  const line = (texts: string[]) =>
    texts
      .map((text, column) => {
        const width = widths[column] ?? 0;
        return RIGHT.has(column) ? text.padStart(width) : text.padEnd(width);
      })
      .join(" ")
      .trimEnd();
  return [
    line(HEAD),
    ...rows.flatMap((row) => [line(cells(row)), ...(remarks(row) ? [`   · ${remarks(row)}`] : [])]),
    ...missing.map(
      ({ measurement, reason }) => `${String(measurement).padStart(widths[0] ?? 0)} not measured: ${reason}`,
    ),
  ].join("\n");
}

/** The same for docs/performance.md: the machine, the table, the remarks. */
export function formatMarkdown(results: Results): string {
  const { machine, rows, missing, command, date, seconds, scale } = results;
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const line = (texts: string[]) => `| ${texts.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
  const noted = rows.flatMap((row) =>
    remarks(row) ? [`- ${row.measurement}, ${row.against}: ${remarks(row)}.`] : [],
  );
  return [
    `\`${command}\`, ${date.slice(0, 10)}, ${Math.round(seconds / 60)} minutes${scale === 1 ? "" : `, at ${scale} of the full data set`}, on ${machine.cores} cores of ${machine.cpu}, ${machine.memory} GB,`,
    `${machine.system}, Linux ${machine.kernel}; ${versions.join(", ")}.`,
    "",
    line(HEAD),
    line(HEAD.map((_, column) => (RIGHT.has(column) ? "--:" : "---"))),
    ...rows.map((row) => line(cells(row))),
    "",
    ...noted,
    ...missing.map(({ measurement, reason }) => `- ${measurement} was not measured: ${reason}.`),
  ].join("\n");
}

const MARKERS = { start: "<!-- figures: npm run bench -- --docs -->", end: "<!-- end of figures -->" };

/** Puts text between the markers of a page. @throws Error where the page lacks them */
export function fillMarkers(page: string, text: string): string {
  const start = page.indexOf(MARKERS.start);
  const end = page.indexOf(MARKERS.end);
  if (start < 0 || end < start) throw new Error(`the page lacks "${MARKERS.start}" and "${MARKERS.end}"`);
  return `${page.slice(0, start)}${MARKERS.start}\n${text}\n${page.slice(end)}`;
}
