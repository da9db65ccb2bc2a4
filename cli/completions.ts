/**
 * `lightgpt completions SHELL`: what a shell needs to complete subcommands, options, values and short names of models. It is made of the
 * table of options, so it knows whatever the command knows.
 *
 * @module
 */
import { catalogNames } from "../src/files/hub/catalog.ts";
import type { Arguments } from "./arguments.ts";
import { shells } from "./model_options.ts";
import { COMMANDS } from "./options.ts";
import { print } from "./output.ts";
import { type CommandSpec, type OptionSpec, UsageError } from "./types.ts";

type Shell = typeof shells[number];

/** Runs the subcommand. */
export async function completions(args: Arguments): Promise<void> {
  const shell = shells.find((name) => name === args.argument);
  if (shell === undefined) throw new UsageError(`completions needs ${shells.join(", ")}, got "${args.argument}"`);
  await print(WRITERS[shell]());
}

const WRITERS: Readonly<Record<Shell, () => string>> = { bash, zsh, fish };

/** Whether a subcommand's argument is a model. */
function takesModel({ argument }: CommandSpec): boolean {
  return argument?.name === "MODEL";
}

function optionsOf({ options }: CommandSpec): string[] {
  return [...Object.keys(options), "help"].map((name) => `--${name}`);
}

/** Options whose values are words of a list, with the subcommands that have them. */
function choicesOf({ options }: CommandSpec): (readonly [string, readonly string[]])[] {
  return Object.entries(options).flatMap(([name, { choices }]) =>
    choices === undefined ? [] : [[`--${name}`, choices] as const]
  );
}

function bash(): string {
  const commands = Object.entries(COMMANDS).map(([name, spec]) => {
    const values = choicesOf(spec).map(([option, choices]) => `        ${option}) words="${choices.join(" ")}" ;;`);
    const own = spec.argument?.name === shells.join("|") ? shells.join(" ") : takesModel(spec) ? "$models" : "";
    return [
      `    ${name})`,
      `      words="${optionsOf(spec).join(" ")}"`,
      own === "" ? "" : `      [[ $current == -* ]] || words="${own}"`,
      `      case "$previous" in`,
      `        --model) words="$models" ;;`,
      ...values,
      `      esac ;;`,
    ].filter((line) => line !== "").join("\n");
  });
  // A colon ends a word of bash's: names with one are completed by what follows it.
  return `_lightgpt() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words="" models="${
    catalogNames().join(" ")
  }"
  if declare -F _get_comp_words_by_ref > /dev/null; then _get_comp_words_by_ref -n : -c current -p previous; fi
  if [[ $COMP_CWORD -eq 1 ]]; then words="${Object.keys(COMMANDS).join(" ")} help --help --version"; fi
  [[ $COMP_CWORD -eq 1 ]] || case "\${COMP_WORDS[1]}" in
${commands.join("\n")}
    help) words="${Object.keys(COMMANDS).join(" ")}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if declare -F __ltrim_colon_completions > /dev/null; then __ltrim_colon_completions "$current"; fi
}
complete -o default -F _lightgpt lightgpt
`;
}

/** A text between single quotes of a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function zsh(): string {
  const action = ({ kind, choices, value = "value" }: OptionSpec) =>
    kind === "flag"
      ? ""
      : `:${value.replaceAll(":", "")}:${choices === undefined ? "_files" : `(${choices.join(" ")})`}`;
  const clean = (text: string) => text.replace(/[[\]:]/g, " ");
  const models = catalogNames().map((name) => name.replaceAll(":", "\\:")).join(" ");
  const commands = Object.entries(COMMANDS).map(([name, spec]) => {
    const options = Object.entries(spec.options).map(([key, option]) =>
      quoted(
        `${option.kind === "list" ? "*" : ""}--${key}[${clean(option.about)}]${
          key === "model" ? ":model:_lightgpt_models" : action(option)
        }`,
      )
    );
    const own = takesModel(spec)
      ? ["'1:model:_lightgpt_models'"]
      : spec.argument?.name === shells.join("|")
      ? [`'1:shell:(${shells.join(" ")})'`]
      : ["'*:file:_files'"];
    return `    ${name}) _arguments ${[...options, ...own].join(" ")} ;;`;
  });
  return `#compdef lightgpt
_lightgpt_models() { _alternative ${quoted(`names:name:(${models})`)} 'files:file:_files -g "*.gguf"' }
_lightgpt() {
  local -a commands
  commands=(${Object.entries(COMMANDS).map(([name, { about }]) => quoted(`${name}:${clean(about)}`)).join(" ")})
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${commands.join("\n")}
  esac
}
compdef _lightgpt lightgpt
`;
}

function fish(): string {
  const names = Object.keys(COMMANDS).join(" ");
  const first = `not __fish_seen_subcommand_from ${names}`;
  const lines = Object.entries(COMMANDS).flatMap(([name, spec]) => {
    const on = `-c lightgpt -n ${quoted(`__fish_seen_subcommand_from ${name}`)}`;
    const options = Object.entries(spec.options).map(([key, { kind, choices, about }]) => {
      const values = key === "model" ? catalogNames() : choices;
      const value = kind === "flag" ? "" : ` -r${values === undefined ? "" : ` -a ${quoted(values.join(" "))}`}`;
      return `complete ${on} -l ${key}${value} -d ${quoted(about)}`;
    });
    const own = takesModel(spec) ? [`complete ${on} -a ${quoted(catalogNames().join(" "))}`] : [];
    return [`complete -f -c lightgpt -n ${quoted(first)} -a ${name} -d ${quoted(spec.about)}`, ...own, ...options];
  });
  return [
    ...lines,
    `complete -f -c lightgpt -n '__fish_seen_subcommand_from completions' -a ${quoted(shells.join(" "))}`,
    "",
  ].join("\n");
}
