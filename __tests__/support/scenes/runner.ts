/**
 * What @actions/core prints, which it does straight to stdout, and the files that the runner would give
 * it. Everything is restored by `restore`.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jest } from '@jest/globals';

export interface Runner {
  /** what was printed so far */
  printed(): string;
  /** the lines printed so far, without the last one's end */
  lines(): string[];
  directory: string;
  /** a new file in `directory` */
  file(name: string, text?: string): string;
  /** Replaces every INPUT_* variable by these inputs, named as the runner names them. */
  inputs(inputs: Readonly<Record<string, string>>): void;
  env(name: string, value: string | undefined): void;
  restore(): void;
}

export function startRunner(): Runner {
  const directory = mkdtempSync(join(tmpdir(), 'action-'));
  const before = { ...process.env };
  let text = '';
  const write = jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  const env = (name: string, value: string | undefined): void => {
    if (value === undefined) {
      Reflect.deleteProperty(process.env, name);
    } else {
      process.env[name] = value;
    }
  };
  env('GITHUB_ACTIONS', 'true');
  return {
    printed: () => text,
    lines: () => text.replace(/\n$/, '').split('\n'),
    directory,
    file: (name, content = '') => {
      const path = join(directory, name);
      writeFileSync(path, content);
      return path;
    },
    inputs: (inputs) => {
      Object.keys(process.env)
        .filter((name) => name.startsWith('INPUT_'))
        .forEach((name) => {
          env(name, undefined);
        });
      for (const [name, value] of Object.entries(inputs)) {
        env(`INPUT_${name.replaceAll(' ', '_').toUpperCase()}`, value);
      }
    },
    env,
    restore: () => {
      write.mockRestore();
      Object.keys(process.env).forEach((name) => {
        env(name, before[name]);
      });
      Object.assign(process.env, before);
      rmSync(directory, { recursive: true });
    },
  };
}

export function read(path: string): string {
  return readFileSync(path, 'utf8');
}
