/**
 * The command in a pseudo-terminal, as a person has it, from steps: what to wait for on the screen, and what to type then.
 * Python's `pty` makes the terminal.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { repository } from "./kit.ts";

/** Whether there is what makes a terminal. */
export const hasTerminal: boolean = spawnSync("python3", ["-c", "import pty"]).status === 0;

const driver = `
import json, os, pty, re, select, sys
words, steps, patience = json.loads(sys.argv[1]), json.loads(sys.argv[2]), float(sys.argv[3])
pid, fd = pty.fork()
if pid == 0:
    os.execvp(words[0], words)
screen, seen = b"", 0
while True:
    try:
        if not select.select([fd], [], [], patience)[0]:
            screen += b"[waited in vain for " + steps[0][0].encode() + b"]" if steps else b"[did not end]"
            os.kill(pid, 9)
            break
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data: break
    screen += data
    while steps and (found := re.search(steps[0][0].encode(), screen[seen:])):
        seen += found.end()
        os.write(fd, steps.pop(0)[1].encode())
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(screen)
print("\\n[exit %d]" % os.waitstatus_to_exitcode(status))
`;

/** A step: when `after` has come onto the screen since the step before, `type` is typed. */
export type Step = readonly [after: string | RegExp, type: string];

/** A pattern that Python reads, too. */
function sourceOf(after: string | RegExp): string {
  return typeof after === "string" ? after.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") : after.source;
}

/** What the screen showed at the end, with the exit code; a screen that stays as it is for `patienceS` seconds ends it. */
export function inTerminal(
  words: readonly string[],
  steps: readonly Step[],
  env: Readonly<Record<string, string>> = {},
  patienceS: number = 20,
): Promise<string> {
  const start = "Deno" in globalThis ? ["run", "--allow-all", "--no-prompt", "--quiet"] : [];
  const command = [process.execPath, ...start, join(repository, "cli/main.ts"), ...words];
  const patterns = steps.map(([after, type]) => [sourceOf(after), type]);
  const child = spawn("python3", ["-c", driver, JSON.stringify(command), JSON.stringify(patterns), `${patienceS}`], {
    cwd: repository,
    env: { ...process.env, TERM: "xterm-256color", NO_COLOR: "1", ...env },
  });
  let screen = "", complaints = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => screen += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => complaints += text);
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code) => code === 0 ? done(screen) : fail(new Error(complaints)));
  });
}
