/**
 * The job summary as text for a terminal: headings, aligned tables with short digests, a pie as bars. It
 * knows the Markdown that src/report writes and no more. Pure.
 */
import type { Style } from './style.js';

/** Table cells wider than this are broken into lines. */
const CELL = 44;
const BAR = 30;

export function renderMarkdown(markdown: string, style: Style): string {
  const lines = markdown.split('\n');
  const out: string[] = [];
  while (lines.length > 0) {
    const line = lines.shift() ?? '';
    const fence = /^```(\w*)$/.exec(line)?.[1];
    if (fence !== undefined) {
      const block = lines.splice(0, lines.indexOf('```'));
      lines.shift();
      out.push(...(fence === 'mermaid' ? pie(block, style) : block.map((text) => `    ${text}`)));
    } else if (line.startsWith('|')) {
      const rest = lines.findIndex((next) => !next.startsWith('|'));
      const rows = [line, ...lines.splice(0, rest === -1 ? lines.length : rest)];
      out.push(...table(rows.map(cells), style));
    } else {
      out.push(text(line, style));
    }
  }
  return `${out
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim()}\n`;
}

function text(line: string, style: Style): string {
  const heading = /^#+ (.*)$/.exec(line)?.[1];
  if (heading !== undefined) {
    return style.bold(inline(heading));
  }
  const quote = /^> ?(?:\[!(\w+)\])?(.*)$/.exec(line);
  if (quote !== null) {
    return `  │ ${quote[1] ?? inline(quote[2] ?? '')}`;
  }
  return inline(
    line.replace(/<summary>(.*)<\/summary>/, '$1:').replace(/<\/?(?:details|code)>/g, ''),
  );
}

/** Without the marks; digests shortened, for the log has them whole. */
function inline(markdown: string): string {
  return markdown
    .replace(/`([^`]*)`/g, '$1')
    .replace(/\*\*([^*]+)\*\*/g, '$1')
    .replace(/\b_([^_]+)_\b/g, '$1')
    .replace(/\b(sha\d+[:-][0-9a-f]{12})[0-9a-f]{20,}/g, '$1…');
}

function cells(row: string): string[] {
  return row
    .replace(/^\|\s*|\s*\|$/g, '')
    .split('|')
    .map((cell) => inline(cell.trim()));
}

function table([head = [], rule = [], ...rows]: readonly string[][], style: Style): string[] {
  const wrapped = [head, ...rows].map((row) => row.map(wrap));
  const widths = head.map((_, column) =>
    Math.max(...wrapped.flatMap((row) => (row[column] ?? []).map((part) => part.length))),
  );
  const lineUp = (parts: readonly string[]): string =>
    parts
      .map((part, column) => {
        const width = widths[column] ?? 0;
        return rule[column]?.endsWith(':') === true ? part.padStart(width) : part.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  const [title = [], ...body] = wrapped.map((row) => {
    const height = Math.max(...row.map((cell) => cell.length));
    return Array.from({ length: height }, (_, n) => lineUp(row.map((cell) => cell[n] ?? '')));
  });
  const line = style.dim(widths.map((width) => '─'.repeat(width)).join('  '));
  return [...title.map(style.bold), line, ...body.flat()];
}

function wrap(cell: string): string[] {
  const lines = [''];
  for (const word of cell.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last !== '' && last.length + 1 + word.length > CELL) {
      lines.push(word);
    } else {
      lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
    }
  }
  return lines;
}

function pie(block: readonly string[], style: Style): string[] {
  const title = /^pie title (.*)$/.exec(block[0] ?? '')?.[1] ?? '';
  const slices = block.flatMap((line) => {
    const [, label, value] = /^\s*"(.*)" : (\d+)$/.exec(line) ?? [];
    return label === undefined ? [] : [{ label, value: Number(value) }];
  });
  const largest = Math.max(...slices.map(({ value }) => value));
  const width = Math.max(...slices.map(({ label }) => label.length));
  const bars = slices.map(({ label, value }) => {
    const length = Math.max(1, Math.round((value / largest) * BAR));
    return `${label.padEnd(width)}  ${style.cyan('█'.repeat(length))}`;
  });
  return [style.bold(title), ...bars];
}
