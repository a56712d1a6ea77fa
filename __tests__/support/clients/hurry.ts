/**
 * A clock for the bundled action on which waiting takes no time: whenever no request is under way and a timer is set, it
 * is that timer's time. What the action does is the same, only sooner.
 */
import type { RunOptions } from './run-action.js';

/** So long nothing has to be under way, in milliseconds: files may be read, too. */
const QUIET = 20;
/** What is shorter is waited for: the start of the process has timers of its own. */
const SHORT = 50;

const CLOCK = `
import http from 'node:http';
import https from 'node:https';
import { syncBuiltinESMExports } from 'node:module';
const set = setTimeout, clear = clearTimeout, now = Date.now;
const timers = new Map();
let [ahead, underWay, quietSince] = [0, 0, now()];
Date.now = () => now() + ahead;
globalThis.setTimeout = (work, milliseconds = 0, ...given) => {
  if (milliseconds < ${String(SHORT)}) return set(work, milliseconds, ...given);
  const run = () => { timers.delete(timer); work(...given); };
  const timer = set(run, milliseconds);
  timers.set(timer, { run, at: Date.now() + milliseconds });
  return timer;
};
globalThis.clearTimeout = (timer) => { timers.delete(timer); clear(timer); };
for (const module of [http, https]) {
  const send = module.request;
  module.request = (...given) => {
    underWay += 1;
    return send(...given).once('close', () => { underWay -= 1; quietSince = now(); });
  };
}
syncBuiltinESMExports();
setInterval(() => {
  if (underWay > 0 || now() - quietSince < ${String(QUIET)}) return;
  const [next] = [...timers].sort(([, a], [, b]) => a.at - b.at);
  if (next === undefined) return;
  const [timer, { run, at }] = next;
  ahead += Math.max(0, at - Date.now());
  quietSince = now();
  clear(timer);
  run();
}, 1).unref();
`;

export const hurried: Required<Pick<RunOptions, 'nodeArguments'>> = {
  nodeArguments: ['--import', `data:text/javascript,${encodeURIComponent(CLOCK)}`],
};
