/** What earlier runs found out and later ones need not try again. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

const DAY = 24 * 60 * 60 * 1000;

interface Entry {
  value: string;
  /** When it was found, in milliseconds since the epoch. */
  at: number;
}

/** A small memory between runs, in one JSON file. Losing it costs time and nothing else. */
export class Memo {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** What was found under a key, or undefined when that was never, or longer than `maxAge` milliseconds ago. */
  get(key: string, maxAge: number = DAY, now: number = Date.now()): string | undefined {
    const entry = this.#read()[key];
    return entry && now - entry.at < maxAge && entry.at <= now ? entry.value : undefined;
  }

  /** Remembers a finding. */
  set(key: string, value: string, now: number = Date.now()): void {
    const entries = { ...this.#read(), [key]: { value, at: now } };
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    // Renamed into place: another run may be reading it.
    const next = `${this.#path}.${process.pid}`;
    writeFileSync(next, JSON.stringify(entries, null, 2), { mode: 0o600 });
    renameSync(next, this.#path);
  }

  #read(): Record<string, Entry> {
    try {
      return JSON.parse(readFileSync(this.#path, "utf8"));
    } catch {
      return {};
    }
  }
}
