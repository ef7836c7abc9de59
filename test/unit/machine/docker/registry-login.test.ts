import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseConfig } from "../../../../config/schema.ts";
import { type DockerConfig, registryLogin } from "../../../../machine/docker/registry-login.ts";
import { pretend } from "../../../support/host-script.ts";
import { only } from "../../../support/recorder.ts";
import { recordStack } from "../../../support/stack.ts";

const folder = mkdtempSync(join(tmpdir(), "gpubox-login-"));
const bin = join(folder, "bin");

beforeAll(() => {
  mkdirSync(bin);
  const helper = (name: string, body: string) => pretend(bin, `docker-credential-${name}`, body);
  helper("echo", `read server; printf '{"Username":"ada","Secret":"%s"}' "$1 $server"`);
  helper("token", `echo '{"Username":"<token>","Secret":"x"}'`);
  helper("empty", "echo 'credentials not found in native keychain'; exit 1");
  helper("broken", "echo 'no session: aws sso login' >&2; exit 1");
  helper("words", `echo '{"Username":"ada","Secret":canary}'`);
  helper("null", "echo null");
  helper("list", `echo '["ada","canary"]'`);
  helper("number", `echo '{"Username":"ada","Secret":7}'`);
  helper("nameless", `echo '{"Secret":"canary"}'`);
  helper("leaking", `echo '{"Username":"ada","Secret":"canary"}'; exit 3`);
  helper("coloured", `printf '\\033[31mlocked%01000d\\nmore' 0 >&2; exit 1`);
  helper("killed", "kill -9 $$");
  helper("endless", "yes canary");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const HUB = "https://index.docker.io/v1/";
const auth = Buffer.from("ada:pass:word").toString("base64");

/** The login for an image, with this configuration of Docker's. */
const login = (pull: string, config: DockerConfig) => {
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const env = { DOCKER_CONFIG: folder, PATH: `${bin}:/usr/bin:/bin` };
  return registryLogin(parseConfig({ image: { pull } }, "dev").image, env);
};

describe("the login that an image is pulled with", () => {
  it.each<[string, string, DockerConfig, string, string]>([
    ["in the file", "ghcr.io/a/b:1", { auths: { "ghcr.io": { auth } } }, "ghcr.io", "pass:word"],
    [
      "at a url",
      "example.org:5000/b",
      { auths: { "https://example.org:5000/v2/": { auth } } },
      "example.org:5000",
      "pass:word",
    ],
    ["at Docker Hub", "a/b:1", { auths: { [HUB]: { auth } } }, "registry-1.docker.io", "pass:word"],
    ["at Docker Hub by name", "docker.io/a/b", { auths: { [HUB]: { auth } } }, "docker.io", "pass:word"],
    [
      "in the store",
      "a/b",
      { auths: { [HUB]: {} }, credsStore: "echo" },
      "registry-1.docker.io",
      `get ${HUB}`,
    ],
    [
      "of the registry's own helper",
      "1.dkr.ecr.eu-west-1.amazonaws.com/b",
      { credsStore: "empty", credHelpers: { "1.dkr.ecr.eu-west-1.amazonaws.com": "echo" } },
      "1.dkr.ecr.eu-west-1.amazonaws.com",
      "get 1.dkr.ecr.eu-west-1.amazonaws.com",
    ],
  ])("is the person's own: %s", async (_, image, config, address, password) => {
    expect(await login(image, config)).toEqual({ auth: { address, username: "ada", password } });
  });

  it("is none where there was no login at that registry, and nobody is asked", async () => {
    expect(await login("ghcr.io/a/b", { auths: { "quay.io": { auth } }, credsStore: "broken" })).toEqual({});
    expect(await login("a/b", {})).toEqual({});
    writeFileSync(join(folder, "config.json"), "{");
    const image = parseConfig({ image: "a/b" }, "dev").image;
    expect(await registryLogin(image, { DOCKER_CONFIG: folder })).toEqual({});
    expect(await registryLogin(parseConfig({}, "dev").image, { DOCKER_CONFIG: folder })).toEqual({});
  });

  it.each([
    [
      "gone",
      /docker-credential-gone, which Docker's config\.json .* is not on PATH: install it, or take its name out/,
    ],
    ["empty", /docker-credential-empty has none: `docker login quay\.io`/],
    ["broken", /docker-credential-broken did not give it \(no session: aws sso login\)/],
    ["words", /docker-credential-words did not give it \(its answer is not JSON\)$/],
    ...["null", "list", "number", "nameless"].map((name): [string, RegExp] => [
      name,
      new RegExp(`docker-credential-${name} did not give it \\(its answer has no user name and password\\)$`),
    ]),
    ["leaking", /docker-credential-leaking did not give it \(exit status 3\)$/],
    ["coloured", /docker-credential-coloured did not give it \(\?\[31mlocked0{100,200}\.\.\.\)$/],
    ["killed", /docker-credential-killed did not give it \(ended by SIGKILL\)$/],
    ["endless", /docker-credential-endless did not give it \(its answer is too long\)$/],
    ["token", /has a token instead of a password; `docker pull quay\.io\/a\/b` on the host/],
  ] as [
    string,
    RegExp,
  ][])("that the helper %s cannot give is said, with what mends it", async (helper, said) => {
    const { auth: none, problem } = await login("quay.io/a/b", { credHelpers: { "quay.io": helper } });
    expect(none).toBeUndefined();
    expect(problem).toMatch(/^gpubox:image: quay\.io\/a\/b is pulled without your login at quay\.io: /);
    expect(problem).toMatch(said);
    expect(problem).not.toContain("canary");
  });

  it.each<[string, object]>([
    ["no text", { auth: 7 }],
    ["a name alone", { auth: Buffer.from("ada").toString("base64") }],
    ["a password that is no text", { username: "ada", password: ["canary"] }],
  ])("that the file has %s is said", async (_, value) => {
    const { problem } = await login("quay.io/a/b", { auths: { "quay.io": value } });
    expect(problem).toMatch(/: `docker login quay\.io` left no password$/);
  });

  it("reaches the provider as a secret, and a stack without one sees no change", async () => {
    const registryAuth = { address: "ghcr.io", username: "ada", password: "canary" };
    for (const kind of ["local", "ssh"]) {
      const given = async (login?: typeof registryAuth) =>
        only((await recordStack({}, undefined, kind, { login })).resources, "pulumi:providers:docker");
      const { inputs, secrets } = await given(registryAuth);
      expect(JSON.parse(inputs.registryAuth)).toEqual([registryAuth]);
      expect(secrets).toContain("registryAuth");
      expect((await given()).inputs).not.toHaveProperty("registryAuth");
    }
  });
});
