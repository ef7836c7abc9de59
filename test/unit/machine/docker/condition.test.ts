import { describe, expect, it } from "vitest";
import { conditionOf, explain, readStatus } from "../../../../machine/docker/condition.ts";

describe("what a container is at", () => {
  it.each([
    ["Up 3 minutes", "up", undefined],
    ["Up 3 minutes (healthy)", "up", undefined],
    ["Up 1 second (health: starting)", "up", undefined],
    ["Up 2 hours (unhealthy)", "up", /runs but does not answer.*`docker restart nb`.*memory is lost/],
    ["Up 2 hours (Paused)", "paused", /`npm start -- -s lab` resumes it/],
    ["Exited (0) 2 hours ago", "stopped", undefined],
    ["Exited (143) 2 hours ago", "stopped", undefined],
    [
      "Exited (3) 2 hours ago",
      "failed",
      /ended by itself, with exit code 3: `docker logs nb`.*`npm start -- -s lab` starts/,
    ],
    ["Restarting (1) 4 seconds ago", "restarting", /keeps stopping: `docker logs nb` shows why/],
    ["Created", "created", /has not run yet: `npm start -- -s lab`/],
    ["Dead", "dead", /could not remove: `npm start -- -s lab` recreates it/],
    ["Removal In Progress", "removing", /could not remove: `npm start -- -s lab` recreates it/],
  ])("%s", (status, condition, told) => {
    const said = readStatus(status);
    expect(said.condition).toBe(condition);
    const explained = explain("nb", said, "npm start -- -s lab");
    if (told) expect(explained).toMatch(told);
    else expect(explained).toBeUndefined();
  });

  it.each([
    ["Up 1 second (health: starting)", true],
    ["Up 1 second (starting)", true],
    ["Up 3 minutes", false],
    ["Up 3 minutes (healthy)", false],
    ["Up 3 minutes (unhealthy)", false],
    ["Up 3 minutes (Paused)", false],
    ["Restarting (1) 4 seconds ago", false],
  ])("%s: whether it comes up still, %s", (status, starting) => {
    expect(readStatus(status).starting).toBe(starting);
  });

  it("has Docker's own words, but for two", () => {
    expect(
      ["running", "exited", "paused", "restarting", "created", "dead", "removing"].map(conditionOf),
    ).toEqual([...["up", "stopped", "paused", "restarting", "created", "dead", "removing"]]);
  });
});
