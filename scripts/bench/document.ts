/** Where results go: docs/performance.md, between markers, with the machine that they were measured on. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { fileURLToPath } from 'node:url';

import prettyBytes from 'pretty-bytes';

import { count } from './markdown.js';

const DOCUMENT = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));

/**
 * Replaces what stands between the markers.
 *
 * @param name of the markers: `measurements`
 */
export function writeResults(name: string, results: string): void {
  const [begin, end] = [`<!-- begin ${name} -->`, `<!-- end ${name} -->`];
  const document = readFileSync(DOCUMENT, 'utf8');
  const [before, after] = [document.indexOf(begin), document.indexOf(end)];
  if (before === -1 || after < before) {
    throw new Error(`docs/performance.md needs the lines '${begin}' and '${end}'`);
  }
  const block = `\n<!-- prettier-ignore-start -->\n\n${results}\n\n<!-- prettier-ignore-end -->\n`;
  writeFileSync(DOCUMENT, document.slice(0, before + begin.length) + block + document.slice(after));
}

/** Begins a sentence: the day, and this machine. */
export function measuredHere(): string {
  const all = cpus();
  return (
    `Measured on ${new Date().toISOString().slice(0, 10)} on ${all[0]?.model.trim() ?? 'an unknown processor'}, ` +
    `${count(all.length)} cores, ${prettyBytes(totalmem(), { binary: true })} of memory, ` +
    `${type()} ${release()}, Node ${process.versions.node}`
  );
}
