import { expect, it } from "vitest";
import { timeLeft } from "../../../../cli/system/time-left.mjs";

it.each([
  [0, 240, 420, "4 to 7 min left"],
  [130, 240, 420, "2 to 5 min left"],
  [250, 240, 420, "up to 3 min left"],
  [361, 240, 420, "less than a minute left"],
  [420, 240, 420, "longer than expected"],
  [20, 170, 170, "about 3 min left"],
])("after %d s of %d to %d: %s", (elapsed, least, most, text) => {
  expect(timeLeft(elapsed, { least, most })).toBe(text);
});
