/**
 * Rounds of arms that are measured side by side, and what they say. A number by itself says little on a machine that others
 * use too; the ratio of two that were taken a moment apart does.
 */

/** Measures one arm once: one value, or several by their names, each in the unit of its measurement. */
export type Arm = () => Promise<number | Record<string, number>>;

/** One round: every arm once. */
export interface Round {
  /** What was measured: by the arm's name, or by `arm value` where an arm gave several. */
  values: Record<string, number>;
  /** Seconds of the floor: before each arm, and after the last. */
  floor: number[];
  /** False where the machine itself was not the same from one arm to the next. */
  valid: boolean;
}

/** How much the floor may vary within a round, as a part of its shortest. */
export const FLOOR_TOLERANCE = 0.3;

/** How `runRounds` runs. */
export interface RoundsOptions {
  arms: Record<string, Arm>;
  rounds: number;
  /** A fixed piece of work, in seconds: varies only with the machine. */
  floor: () => Promise<number>;
  /** Told of each arm before it starts. */
  onArm?: (round: number, arm: string) => void;
}

/** Runs every arm in every round; the order is turned round each time, so that none always comes first. */
export async function runRounds({ arms, rounds, floor, onArm }: RoundsOptions): Promise<Round[]> {
  const done: Round[] = [];
  for (let index = 0; index < rounds; index++) {
    const order = Object.entries(arms);
    if (index % 2 === 1) order.reverse();
    const values: Round["values"] = {};
    const floors = [await floor()];
    for (const [name, arm] of order) {
      onArm?.(index + 1, name);
      Object.assign(values, named(name, await arm()));
      floors.push(await floor());
    }
    done.push({ values, floor: floors, valid: variation(floors) <= FLOOR_TOLERANCE });
  }
  return done;
}

function named(arm: string, measured: number | Record<string, number>): Round["values"] {
  if (typeof measured === "number") return { [arm]: measured };
  return Object.fromEntries(Object.entries(measured).map(([name, value]) => [`${arm} ${name}`, value]));
}

/** The value of one arm in every valid round. */
export function readings(rounds: Round[], reading: Reading): number[] {
  return rounds.filter(({ valid }) => valid).map(({ values }) => read(values, reading));
}

/** How far values are apart, as a part of the smallest. */
export function variation(values: number[]): number {
  return Math.max(...values) / Math.min(...values) - 1;
}

/** The middle one, or the mean of the two in the middle. NaN of nothing. */
export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

/** A median, and how far the values reach on both sides of it. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** The spread of some values; undefined of none. */
export function spread(values: number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** What rounds say of two of their arms; the spreads are undefined where no round was valid. */
export interface Comparison {
  ours: Spread | undefined;
  theirs: Spread | undefined;
  /** Of the ratios ours / theirs, one a round. */
  ratio: Spread | undefined;
  rounds: number;
  /** Rounds that were left out, as the machine was not steady. */
  invalid: number;
}

/** What is compared: the value of an arm, or one made from the values of a round. */
export type Reading = string | ((values: Round["values"]) => number);

/** Compares two arms over the valid rounds. */
export function compare(rounds: Round[], ours: Reading, theirs: Reading): Comparison {
  const quotient = (values: Round["values"]) => read(values, ours) / read(values, theirs);
  return {
    ours: spread(readings(rounds, ours)),
    theirs: spread(readings(rounds, theirs)),
    ratio: spread(readings(rounds, quotient)),
    rounds: rounds.length,
    invalid: rounds.filter(({ valid }) => !valid).length,
  };
}

function read(values: Round["values"], reading: Reading): number {
  const value = typeof reading === "string" ? values[reading] : reading(values);
  if (value === undefined) throw new Error(`no arm ${reading}; there are ${Object.keys(values).join(", ")}`);
  return value;
}

/** One line of the table: what gpubox does against what a person would use instead. */
export interface Row extends Comparison {
  /** Number of the measurement; several rows may share one. */
  measurement: number;
  what: string;
  against: string;
  unit: "s" | "MB" | "bytes";
  /** What the median of the ratios should not exceed; undefined where there is no aim. */
  aim?: number;
  /** Further things that must hold, by what they say: "0 bytes served". */
  counters?: Record<string, boolean>;
  /** What else was seen. */
  note?: string;
}

/** Whether a row reaches its aim; undefined where it has none, or nothing could be measured. */
export function isMet({
  aim,
  ratio,
  counters = {},
}: Pick<Row, "aim" | "ratio" | "counters">): boolean | undefined {
  if (aim === undefined || ratio === undefined) return undefined;
  return ratio.median <= aim && Object.values(counters).every(Boolean);
}

/** Seconds that something takes. */
export async function seconds(action: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await action();
  return (performance.now() - started) / 1000;
}
