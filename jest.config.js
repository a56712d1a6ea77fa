/** @type {import('jest').Config} */
export default {
  testEnvironment: '<rootDir>/__tests__/support/environment.js',
  testMatch: ['<rootDir>/__tests__/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2023' }, module: { type: 'es6' } },
    ],
  },
  // A real registry, a child process, a property with hundreds of runs: none is done in five seconds.
  testTimeout: 60_000,
  // Jest leaves one core free, which on two cores means one suite at a time: most of them wait for child processes.
  maxWorkers: '100%',
  // Node never frees the modules of a suite that has run (jestjs/jest#14605, nodejs/node#59118): all suites in one
  // process come to 4 GB, which is all that it has. A worker that has grown to this is replaced before its next one.
  workerIdleMemoryLimit: '1GB',
  reporters: ['default', '<rootDir>/__tests__/support/servers/reporter.js'],
  coverageThreshold: {
    // What decides and deletes is covered whole; the rest is held from sinking.
    global: { statements: 90 },
    'src/{plan,memory,memory/ledger,run,run/candidates}/*.ts': { statements: 100, branches: 100 },
    // One line is for Windows, which can't sync a directory.
    'src/run/backup/*.ts': { statements: 98, branches: 95 },
  },
};
