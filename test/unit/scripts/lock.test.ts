import { describe, expect, it } from "vitest";
import { createContext } from "../../../cli/context.ts";
import { changes, lock } from "../../../scripts/lock.ts";

const HASH = ` \\\n    --hash=sha256:${"0".repeat(64)}\n`;

describe("what changed in a lock", () => {
  it("is every version, every new name and every one that is gone", () => {
    const before = `# made\nanyio==4.15.0${HASH}appnope==1.0 ; sys_platform == 'darwin'${HASH}six==1.16${HASH}`;
    const after = `# made\nanyio==4.16.0${HASH}appnope==1.0 ; sys_platform == 'darwin'${HASH}timm==1.0${HASH}`;
    expect(changes(before, after)).toEqual(["anyio 4.15.0 to 4.16.0", "timm 1.0 (new)", "six (gone)"]);
  });

  it("is nothing where only the comment is another", () => {
    expect(changes(`# a\nsix==1.16${HASH}`, `# b\nsix==1.16${HASH}`)).toEqual([]);
  });
});

it("a lock that there is not is refused by its name", async () => {
  const args = { names: ["requirement"], options: {}, rest: [], stack: "dev" };
  await expect(lock(createContext({}), args as never)).rejects.toThrow(
    "there is no lock requirement: there are requirements-uv, requirements-lab, requirements, python-checks, moto",
  );
});
