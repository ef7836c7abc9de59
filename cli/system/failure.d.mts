/** What comes of an error. */
export interface Failure {
  /** Exit status: 130 after Ctrl-C, as a shell has it. */
  status: number;
  /** What is wrong and how to fix it; of an error that nobody foresaw, where its details are and how to report it. */
  tell: string;
}

/**
 * Puts an error into words. The details of one that nobody foresaw go into a file that its owner alone can read, below
 * `GPUBOX_HOME` or, where that cannot be written, in the temporary folder.
 */
export function explain(error: unknown): Failure;

/**
 * Sees to it that no error of this process ends in a stack trace, and that a reader who has read enough is no error.
 *
 * @param onError ends the process; the one that was given last is called
 */
export function guard(onError: (error: unknown) => void): void;

/** Says which command looks at what the stack needs that this run is about. */
export function lookWith(command: string): void;
