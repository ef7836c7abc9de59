import { describe, expect, it } from "vitest";
import { summary } from "../../../../cli/ui/summary.ts";
import type { NotebookInfo } from "../../../../machine/outputs.ts";

describe("what is said at the end of a run", () => {
  const notebook: NotebookInfo = {
    name: "container1",
    url: "http://127.0.0.1:8888/?token=abc",
    gpus: "CPU",
    port: 8888,
    shell: "docker exec -it container1 bash",
    logs: "docker logs -f container1",
  };
  it("names every way in and every way out", () => {
    const text = summary({ notebooks: [notebook], codeFolder: "/r/code", dataFolder: "/r/data" }, "dev");
    for (const part of [
      notebook.url,
      notebook.shell,
      notebook.logs,
      "npm run stop",
      "npm run destroy",
      "/r/code",
    ]) {
      expect(text).toContain(part);
    }
    expect(text).not.toContain("-s dev");
  });
  it("says at its end why a notebook is on the CPU that was to have a GPU", () => {
    const text = summary({ accelerator: "GPU 0 (NVIDIA L4); CPU (no NVIDIA driver on this host)" }, "lab");
    expect(text.split("\n").at(-2)).toBe(
      "on the CPU: no NVIDIA driver on this host; npm run doctor -- -s lab says how to fix it",
    );
    expect(summary({ accelerator: "CPU" }, "lab")).not.toContain("on the CPU");
  });
  it("names the stack in its commands", () => {
    expect(summary({ notebooks: [notebook] }, "lab")).toContain("npm run destroy -- -s lab");
  });
  it("has the price of a machine on AWS", () => {
    const connection = { address: "198.51.100.7" };
    const cost = { running: "$0.83/h", stopped: "$19.65/month" };
    const machine = { instance: "i-1", dataVolume: "vol-1", connection, cost };
    expect(summary({ machine }, "aws")).toContain(
      "machine: i-1, $0.83/h while it runs, $19.65/month while it is stopped\n",
    );
    const said = { ...machine, cost: { ...cost, source: "list prices of 2026-08" } };
    expect(summary({ machine: said }, "aws")).toContain("while it is stopped (list prices of 2026-08)\n");
    expect(summary({}, "dev")).not.toContain("machine:");
  });
  it("names the tunnel where a stack needs one", () => {
    const text = summary({ notebooks: [], tunnel: "ssh -N gpu" }, "lab");
    expect(text).toContain("npm run tunnel -- -s lab");
    expect(text).toContain("ssh -N gpu");
    expect(summary({ notebooks: [] }, "lab")).not.toContain("tunnel");
  });
});
