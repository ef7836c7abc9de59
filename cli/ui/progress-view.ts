/** Showing what the engine does: on a terminal in one area that is written over, in a log a line for each thing that takes time. */
import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { createLogUpdate } from "log-update";
import { legible } from "../../text/legible.ts";
import type { EngineEvent, Progress } from "./progress.ts";
import { say, TICK } from "./say.ts";

/** How often the events are looked at, in milliseconds. */
const LOOK = 200;

/** Lines of what goes on: on a terminal, and now and then in a log. */
const ROOM = { terminal: 8, log: 3 };

/** Where lines go. */
interface Screen {
  /** A line that stays. */
  keep(line: string): void;
  /** What goes on, a line each. */
  show(lines: string[]): void;
  end(): void;
}

/**
 * Follows what an engine notes down while it runs.
 *
 * @param file of events, one JSON object a line; need not be there yet
 * @returns what ends it, with all that was noted by then
 */
export function follow(file: string, progress: Progress): () => void {
  const { isTTY, rows } = process.stderr;
  // One that does not say how high it is, as `script` makes it, has no room for an area, and a dumb one moves no cursor.
  const screen = isTTY && rows && process.env.TERM !== "dumb" ? terminal() : log();
  const lines = new Lines(file);
  const look = () => {
    for (const line of lines.next()) {
      for (const kept of progress.add(parse(line), Date.now())) screen.keep(legible(kept));
    }
  };
  const ticker = setInterval(() => {
    look();
    screen.show(progress.live(Date.now()).map(legible));
  }, LOOK);
  return () => {
    clearInterval(ticker);
    look();
    screen.end();
    lines.close();
  };
}

function terminal(): Screen {
  // A cursor that is hidden stays so where we are killed.
  const area = createLogUpdate(process.stderr, { showCursor: true });
  return {
    keep: (line) => area.persist(line),
    show: (lines) => {
      const { columns = 80 } = process.stderr;
      const next = lines.slice(0, ROOM.terminal).map((line) => cutToFit(line, columns - 1));
      area(next.join("\n"));
    },
    end: () => {
      area.clear();
      area.done();
    },
  };
}

/** A line cut in its middle: its beginning says what goes on, its end for how long. */
function cutToFit(line: string, room: number): string {
  const ending = Math.min(24, Math.floor(room / 2));
  if (line.length <= room) return line;
  return `${line.slice(0, room - ending - 1)}…${line.slice(-ending)}`;
}

function log(): Screen {
  let last = Date.now();
  return {
    keep: (line) => {
      say(line);
      last = Date.now();
    },
    show: (lines) => {
      if (Date.now() - last < TICK.log) return;
      for (const line of lines.slice(0, ROOM.log)) say(`${line} so far`);
      last = Date.now();
    },
    end: () => {},
  };
}

function parse(line: string): EngineEvent {
  try {
    return JSON.parse(line);
  } catch {
    // An engine that was killed has not ended its last line.
    return {};
  }
}

/** The lines of a file that grows. */
class Lines {
  readonly #file: string;
  readonly #decoder = new StringDecoder("utf8");
  readonly #buffer = Buffer.alloc(64 * 1024);
  #open: number | undefined;
  #rest = "";

  constructor(file: string) {
    this.#file = file;
  }

  /** Those that came since. */
  next(): string[] {
    if (this.#open === undefined && !existsSync(this.#file)) return [];
    this.#open ??= openSync(this.#file, "r");
    for (let count = 1; count > 0; ) {
      count = readSync(this.#open, this.#buffer);
      this.#rest += this.#decoder.write(this.#buffer.subarray(0, count));
    }
    const lines = this.#rest.split("\n");
    this.#rest = lines.pop() ?? "";
    return lines;
  }

  close(): void {
    if (this.#open !== undefined) closeSync(this.#open);
  }
}
