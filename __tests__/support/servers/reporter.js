const FROM_GO = 'Install Go 1.26 or later';
const REMEDIES = {
  'distribution-3': FROM_GO,
  olareg: FROM_GO,
  gcrane: FROM_GO,
  attach: FROM_GO,
  gitea: `${FROM_GO} and PostgreSQL (apt-get install postgresql)`,
  pulp: 'Install Python 3.11 or later and PostgreSQL (apt-get install python3-venv postgresql)',
};

/**
 * Jest reporter: one loud line at the end of a run in which tests were skipped because a real program was
 * missing. It changes no result.
 */
export default class SkippedReporter {
  onRunComplete(_contexts, results) {
    const skipped = new Map();
    for (const { testResults } of results.testResults) {
      for (const { status, fullName } of testResults) {
        const program = /\(needs ([a-z0-9-]+)\)/.exec(fullName)?.[1];
        if (status === 'pending' && program !== undefined) {
          skipped.set(program, (skipped.get(program) ?? 0) + 1);
        }
      }
    }
    for (const [program, count] of skipped) {
      const remedy = REMEDIES[program] ?? `Install it (apt-get install ${program})`;
      process.stderr.write(
        `\n!!! ${count} tests did NOT run: ${program} was not found and could not be fetched. ` +
          `${remedy} and run again.\n`,
      );
    }
  }
}
