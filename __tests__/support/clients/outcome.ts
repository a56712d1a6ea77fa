/** What a run of the bundled action says of itself in its log and outputs, and whether it is green. */
import { expect } from '@jest/globals';

import type { ActionRun } from './run-action.js';

export function expectGreen(run: ActionRun, outputs: Record<string, string>): void {
  expect(run.log).not.toContain('::error');
  expect(run.exitCode).toBe(0);
  expect(run.outputs).toMatchObject(outputs);
}

/** The digests that the output `deleted-digests` names, each with its repository. */
export function deletedIn({ outputs }: ActionRun): Set<string> {
  return new Set(JSON.parse(outputs['deleted-digests'] ?? '') as string[]);
}

/** A text as it stands within a regular expression. */
export function quoted(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** As `expectGreen`, and the run warned of nothing. */
export function expectQuiet(run: ActionRun, outputs: Record<string, string> = {}): void {
  expect(run.log).not.toMatch(/^::warning/m);
  expectGreen(run, outputs);
}

/** The lines of the log that are warnings. */
export function warningsOf({ log }: ActionRun): string[] {
  return log.match(/^::warning.*$/gm) ?? [];
}
