/** How long something is expected to take, in seconds: what is usual, or as long as the last time. */
export interface Expected {
  least: number;
  most: number;
}

/** What a person is told of the time that is left. @param elapsed in seconds */
export function timeLeft(elapsed: number, expected: Expected): string;
