/**
 * One process at a time for what is made once and kept. Several test files may look for a program at once, and a
 * build is too long to do twice: the others wait for the first.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';

/** milliseconds; Distribution took four minutes on two busy cores, with nothing downloaded or compiled before */
export const LONGEST_BUILD = 45 * 60 * 1000;

/** @param lock path of a file that stands for as long as the task runs; its directory exists */
export function alone(lock: string, task: () => void): void {
  const deadline = Date.now() + LONGEST_BUILD;
  while (!take(lock)) {
    if (!isHeld(lock) || Date.now() > deadline) {
      rmSync(lock, { force: true });
    } else {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250);
    }
  }
  try {
    task();
  } finally {
    rmSync(lock, { force: true });
  }
}

function take(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    return false;
  }
}

/** A lock whose process is gone holds nobody up. */
function isHeld(lock: string): boolean {
  try {
    process.kill(Number(readFileSync(lock, 'utf8')), 0);
    return true;
  } catch {
    return false;
  }
}
