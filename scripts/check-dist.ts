/**
 * Builds dist/ from nothing and fails if git sees any difference to what is committed, new files and
 * missing ones included. The bundle is byte-identical on every machine, so nothing is forgiven.
 */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
rmSync('dist', { recursive: true, force: true });
execFileSync('npm run --silent build', { shell: true, stdio: 'inherit' });

const status = ['status', '--porcelain', '--untracked-files=all', '--ignored', '--', 'dist'];
const differences = execFileSync('git', status, { encoding: 'utf8' });
if (differences === '') {
  console.log('dist/ is what src/ builds to.');
} else {
  console.error(
    `dist/ is not what src/ builds to:\n${differences}Commit the dist/ that stands there now.`,
  );
  process.exitCode = 1;
}
