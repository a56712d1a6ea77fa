/**
 * What goes to the job's log. Every line passes through here, so that no text from a registry can be
 * taken for a workflow command by the runner, and no secret is printed.
 */
import * as core from '@actions/core';

import { helpLink } from '../text/pages.js';
import { printable } from '../text/printable.js';

export interface Log {
  info(line: string): void;
  /** a block of lines that folds; printed at once, so that repositories read in parallel don't mix */
  group(title: string, lines: readonly string[]): void;
  warning(message: string): void;
  error(message: string): void;
  debug(line: string): void;
}

/**
 * @param redact takes the run's secrets out of a text
 * @param pages where the docs are: warnings and errors end with a link to what they say of their code
 */
export function createLog(redact: (text: string) => string, pages: string): Log {
  const safe = (text: string) => printable(text);
  const line = (text: string) => safe(redact(text));
  // Redacted as a whole: a secret may have lines of its own.
  const lines = (text: string) => redact(text).split('\n').map(safe).join('\n');
  const linked = (message: string) =>
    [lines(message), helpLink(message, pages)].filter((part) => part !== undefined).join(' ');
  return {
    info: (text) => core.info(line(text)),
    group: (title, body) => {
      core.startGroup(line(title));
      body.forEach((text) => core.info(line(text)));
      core.endGroup();
    },
    warning: (message) => core.warning(linked(message)),
    error: (message) => core.error(linked(message)),
    debug: (text) => {
      // The runner drops debug lines unless it was asked for them, but not before it has read them all.
      if (core.isDebug()) {
        core.debug(line(text));
      }
    },
  };
}
