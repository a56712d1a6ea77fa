/** Tables and numbers as Markdown that reads as well in a terminal. Pure. */

/** The first row is the head, and the first column is text. */
export function renderTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'));
  const widths = head.map((_, column) =>
    Math.max(...[head, rule, ...rows].map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, n) => (n === 0 ? (row[n] ?? '').padEnd(width) : (row[n] ?? '').padStart(width))).join(' | ')} |`;
  return [head, rule, ...rows].map(line).join('\n');
}

export function count(value: number): string {
  return value.toLocaleString('en');
}

export function seconds(milliseconds: number, digits = 2): string {
  return `${(milliseconds / 1000).toFixed(digits)} s`;
}
