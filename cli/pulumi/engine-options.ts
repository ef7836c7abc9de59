/**
 * The options of the engine's commands, which ours hand on to it: so that one that it does not know is told before it is there. A test
 * holds them against the engine's own help.
 */
/** An option of a command. */
export interface Option {
  type: "boolean" | "string";
  short?: string;
  /** What its value is, as in `--root FOLDER`. */
  value?: string;
  /** In a few words; undefined for one of the engine's. */
  does?: string;
}

/** Known to each of them, but for `--verbose`, which is ours: `name`, `=` where it takes a value, and its letter. */
const EVERYWHERE =
  "config=c config-file= config-path debug:d diff expect-no-changes json:j message=m neo override-env= parallel=p run-program show-replacement-steps show-sames skip-config-validation skip-plugin-pre-install suppress-outputs suppress-permalink suppress-progress target=t target-dependents urns color= cwd=C disable-integrity-checking emoji:e fully-qualify-stack-names:Q logflow logtostderr memprofilerate= non-interactive otel-traces= profiling= tracing=";
const MAKING =
  "attach-debugger exclude-dependents ignore-protect policy-pack= policy-pack-config= refresh:r replace= show-config show-full-output show-policy-remediations show-reads show-secrets target-replace=";

const WORDS = {
  up: `${EVERYWHERE} ${MAKING} continue-on-error exclude= secrets-provider= skip-preview:f strict yes:y`,
  preview: `${EVERYWHERE} ${MAKING} exclude=x import-file= save-plan=`,
  refresh: `${EVERYWHERE} clear-pending-creates exclude=x exclude-dependents import-pending-creates= preview-only skip-pending-creates skip-preview:f yes:y`,
  destroy: `${EVERYWHERE.replace(" expect-no-changes", "")} continue-on-error exclude=x exclude-protected ignore-protect preview-only refresh:r remove show-config show-full-output skip-preview:f yes:y`,
};

export type EngineCommand = keyof typeof WORDS;

/** What a command of the engine takes beside the name of a stack. */
export function engineOptions(command: EngineCommand): Record<string, Option> {
  const read = (word: string): [string, Option] => {
    const [, name = "", kind, short] = /^([a-z-]+)([=:]?)(\w?)$/.exec(word) ?? [];
    return [name, { type: kind === "=" ? "string" : "boolean", ...(short && { short }) }];
  };
  return Object.fromEntries(WORDS[command].split(" ").map(read));
}
