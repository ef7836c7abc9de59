/**
 * Ends a run of the tests with where its time went: a line for each file that took a second or more, with what its hooks took of it.
 * Each test's own time is in the file that vitest's json reporter writes (vitest.config.ts names it).
 */
import type { ReportedHookContext, TestModule } from "vitest/node";
import type { Reporter } from "vitest/reporters";

/** Shortest time that is worth a line, in milliseconds. */
const WORTH = 1_000;

/** What a file took, in milliseconds. */
export interface FileTime {
  /** The file, from the project's folder. */
  file: string;
  /** All of it: tests, hooks, loading, and the wait for what `test/setup` gets ready. */
  total: number;
  /** The part in which it was loaded, or waited before that. */
  before: number;
  /** The hooks by name, all runs of one together. */
  hooks: Record<string, number>;
}

const seconds = (milliseconds: number) => (milliseconds / 1000).toFixed(1);

/** The table, longest first. */
export function timesTable(times: FileTime[]): string {
  const rows = times
    .filter(({ total }) => total >= WORTH)
    .toSorted((a, b) => b.total - a.total)
    .map(({ file, total, before, hooks }) => {
      const parts = Object.entries({ "before it": before, ...hooks }).filter(([, each]) => each >= WORTH);
      const of = parts.map(([name, each]) => `${name} ${seconds(each)}`).join(", ");
      return `${seconds(total).padStart(7)} s  ${file}${of && `  (${of})`}`;
    });
  return rows.join("\n");
}

export default class TimesReporter implements Reporter {
  /** When each hook that is at work began: one of a name at a time for what it belongs to. */
  readonly #begun = new Map<object, Map<string, number>>();
  readonly #hooks = new Map<string, Record<string, number>>();

  onHookStart({ entity, name }: ReportedHookContext): void {
    const begun = this.#begun.get(entity) ?? new Map();
    this.#begun.set(entity, begun.set(name, performance.now()));
  }

  onHookEnd({ entity, name }: ReportedHookContext): void {
    const { moduleId } = "moduleId" in entity ? entity : entity.module;
    const took = performance.now() - (this.#begun.get(entity)?.get(name) ?? performance.now());
    const hooks = this.#hooks.get(moduleId) ?? {};
    this.#hooks.set(moduleId, { ...hooks, [name]: (hooks[name] ?? 0) + took });
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const times = modules.map((module): FileTime => {
      const { prepareDuration, environmentSetupDuration, setupDuration, collectDuration, duration } =
        module.diagnostic();
      const before = prepareDuration + environmentSetupDuration + setupDuration + collectDuration;
      const hooks = this.#hooks.get(module.moduleId) ?? {};
      return { file: module.relativeModuleId, total: before + duration, before, hooks };
    });
    const table = timesTable(times);
    // The default reporter writes its own closing lines in this event too.
    if (table) process.once("exit", () => process.stdout.write(`${table}\n`));
  }
}
