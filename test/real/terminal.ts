/**
 * The command in a pseudo-terminal, as a person has it. Python's `pty` makes the terminal: the real models come by `pip`, so
 * where they are, Python is.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { repository } from "../kit.ts";

/** Types a line whenever the prompt stands at the end of the screen; prints all that the screen showed. */
const driver = `
import os, pty, select, sys, json
words, lines = json.loads(sys.argv[1]), json.loads(sys.argv[2])
pid, fd = pty.fork()
if pid == 0:
    os.environ["NO_COLOR"] = "1"
    os.environ["TERM"] = "dumb"
    os.execvp(words[0], words)
screen = b""
while True:
    try:
        ready = select.select([fd], [], [], 120)[0]
        if not ready: break
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data: break
    screen += data
    if lines and screen.endswith(b"> "):
        os.write(fd, lines.pop(0).encode() + b"\\r")
os.waitpid(pid, 0)
sys.stdout.buffer.write(screen)
`;

/** What the screen showed at the end. */
export function terminal(words: readonly string[], lines: readonly string[]): Promise<string> {
  const start = "Deno" in globalThis ? ["run", "--allow-all", "--no-prompt", "--quiet"] : [];
  const command = [process.execPath, ...start, join(repository, "cli/main.ts"), ...words];
  const child = spawn("python3", ["-c", driver, JSON.stringify(command), JSON.stringify(lines)], { cwd: repository });
  let screen = "", complaints = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => screen += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => complaints += text);
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code) => code === 0 ? done(screen) : fail(new Error(complaints)));
  });
}
