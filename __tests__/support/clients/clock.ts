/** The clock of a process that a test starts, set back: runs of the last weeks, one after the other. */

/**
 * @param daysAgo by how many days the clock is behind
 * @param before a program that runs first
 * @returns arguments for Node
 */
export function clockBehind(daysAgo: number, before = ''): readonly string[] {
  const program = `
    ${before}
    const D = Date;
    const now = () => D.now() - ${String(daysAgo * 86_400_000)};
    globalThis.Date = class extends D {
      constructor(...given) { super(...(given.length > 0 ? given : [now()])); }
      static now() { return now(); }
    };`;
  return ['--import', `data:text/javascript,${encodeURIComponent(program)}`];
}
