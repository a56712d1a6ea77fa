import { afterEach, expect, it } from '@jest/globals';

import type { Log } from '../../src/action/log.js';
import { stopOnSignals } from '../../src/action/signals.js';

const before = process.exitCode;

afterEach(() => {
  process.removeAllListeners('SIGINT').removeAllListeners('SIGTERM');
  process.exitCode = before;
});

it('a signal causes one message, which is true of a clean-up and of a restore', () => {
  const said: string[] = [];
  const controller = new AbortController();
  stopOnSignals(controller, { warning: (line) => void said.push(line) } as Log);
  process.emit('SIGINT', 'SIGINT');
  process.emit('SIGTERM', 'SIGTERM');
  expect(said).toEqual([
    'told to stop (SIGINT): nothing more is deleted or restored, and the report says what was done [run-stopped]',
  ]);
  expect(controller.signal.reason).toBe('SIGINT');
});
