/**
 * How the playground looks: light and dark, wide and narrow.
 *
 * @module
 */

/** The style sheet. */
export const style: string = String.raw`
:root { color-scheme: light dark; --back: #fbfbfd; --panel: #f1f2f6; --line: #d5d8e0; --text: #191b22; --dim: #5d6475;
  --accent: #2457d6; --on-accent: #fff; --mine: #e3eafc; --bad: #b3261e; }
:root[data-theme="light"] { color-scheme: light; }
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) { --back: #14161b; --panel: #1c1f27;
  --line: #343946; --text: #e8eaf0; --dim: #9aa2b4; --accent: #7da2ff; --on-accent: #0e1530; --mine: #243257; --bad: #ff8a80; } }
:root[data-theme="dark"] { color-scheme: dark; --back: #14161b; --panel: #1c1f27; --line: #343946; --text: #e8eaf0;
  --dim: #9aa2b4; --accent: #7da2ff; --on-accent: #0e1530; --mine: #243257; --bad: #ff8a80; }
* { box-sizing: border-box; }
body { margin: 0; height: 100vh; display: grid; grid-template: auto 1fr / 15rem 1fr 18rem; background: var(--back);
  color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
header { grid-column: 1 / -1; display: flex; gap: .75rem; align-items: center; padding: .5rem 1rem; border-bottom: 1px solid var(--line); }
header h1 { font-size: 1rem; margin: 0; }
header .space { flex: 1; }
nav, aside { background: var(--panel); padding: .75rem; overflow: auto; }
nav { border-right: 1px solid var(--line); display: flex; flex-direction: column; gap: .5rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li { display: flex; }
nav li button:first-child { flex: 1; text-align: left; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
nav li button { border-color: transparent; background: none; }
nav li[aria-current] button:first-child { background: var(--mine); }
aside { border-left: 1px solid var(--line); display: flex; flex-direction: column; gap: .6rem; }
aside label { display: grid; gap: .15rem; font-size: .85rem; color: var(--dim); }
aside .pair { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem; }
main { display: grid; grid-template-rows: 1fr auto; min-width: 0; min-height: 0; }
#talk { overflow: auto; padding: 1rem; display: flex; flex-direction: column; gap: .75rem; }
.turn { max-width: 48rem; width: 100%; margin: 0 auto; white-space: pre-wrap; overflow-wrap: anywhere; }
.turn.user { background: var(--mine); border-radius: .75rem; padding: .5rem .75rem; }
.turn .calls { white-space: normal; }
.turn details { color: var(--dim); border-left: 3px solid var(--line); padding-left: .75rem; margin-bottom: .5rem; }
.turn pre { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem; margin: .25rem 0;
  white-space: pre-wrap; }
.token:hover, .token:focus { outline: 1px solid var(--accent); border-radius: 2px; }
.show .token { background: color-mix(in srgb, var(--bad) calc((1 - var(--p)) * 45%), transparent); }
#tip { position: fixed; z-index: 2; background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .4rem .6rem;
  font: 13px/1.4 ui-monospace, monospace; pointer-events: none; white-space: pre; box-shadow: 0 2px 10px #0003; }
.error { color: var(--bad); }
.figures { color: var(--dim); font-size: .8rem; white-space: normal; }
form { border-top: 1px solid var(--line); padding: .75rem 1rem; display: grid; grid-template-columns: 1fr auto; gap: .5rem;
  max-width: 50rem; width: 100%; margin: 0 auto; }
button, select, input, textarea { font: inherit; color: inherit; background: var(--back); border: 1px solid var(--line);
  border-radius: .5rem; padding: .35rem .6rem; min-width: 0; }
textarea { resize: vertical; width: 100%; }
aside textarea { font: 13px/1.4 ui-monospace, monospace; }
button { cursor: pointer; }
button.main { background: var(--accent); color: var(--on-accent); border-color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
[hidden] { display: none !important; }
@media (max-width: 60rem) { body { grid-template: auto 1fr / 1fr; } nav, aside { display: none; }
  body.side nav, body.side aside { display: flex; position: fixed; z-index: 1; top: 3.2rem; bottom: 0; width: 50vw; }
  body.side nav { left: 0; } body.side aside { right: 0; } }
@media (min-width: 60.01rem) { #side { display: none; } }
`;
