/**
 * The action's output as GitHub shows it: groups under their heading, annotations marked, debug lines
 * and masks hidden. Pure.
 */
import type { Style } from './style.js';

const COMMAND = /^::([a-z-]+)(?: [^:]*)?::(.*)$/;

/** @param log stdout of the action, workflow commands and all */
export function renderLog(log: string, { bold, red, yellow }: Style): string {
  const lines: string[] = [];
  let indent = '';
  for (const line of log.trimEnd().split('\n')) {
    const [, command, value = ''] = COMMAND.exec(line) ?? [];
    switch (command) {
      case undefined:
        lines.push(indent + line);
        break;
      case 'group':
        lines.push(bold(`▼ ${unescape(value)}`));
        indent = '  ';
        break;
      case 'endgroup':
        indent = '';
        break;
      case 'error':
        lines.push(indent + red(`Error: ${unescape(value)}`));
        break;
      case 'warning':
      case 'notice':
        lines.push(
          indent + yellow(`${command === 'warning' ? 'Warning' : 'Notice'}: ${unescape(value)}`),
        );
        break;
      default:
        // debug, add-mask and the like: the runner keeps them to itself.
        break;
    }
  }
  return `${lines.join('\n')}\n`;
}

/** The runner's escapes in a command's value. */
function unescape(value: string): string {
  return value.replaceAll('%0A', '\n').replaceAll('%0D', '\r').replaceAll('%25', '%');
}
