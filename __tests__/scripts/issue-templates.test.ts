import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

import { FAMILIES } from '../../src/registry/families/families.js';

const FOLDER = '.github/ISSUE_TEMPLATE';
const read = (name: string): string => readFileSync(path.join(FOLDER, name), 'utf8');

interface Form {
  readonly name: string;
  readonly description: string;
  readonly body: readonly {
    readonly type: string;
    readonly id?: string;
    readonly attributes: { readonly label?: string; readonly options?: readonly string[] };
  }[];
}

const forms = readdirSync(FOLDER).filter((name) => name !== 'config.yml');
const fieldsOf = (name: string) =>
  (parse(read(name)) as Form).body.filter(({ id }) => id !== undefined);

describe.each(forms)('the form %s', (name) => {
  it('has a name, a description, and fields with ids and labels of their own', () => {
    const form = parse(read(name)) as Form;
    const asking = form.body.filter(({ type }) => type !== 'markdown');
    expect([form.name, form.description]).not.toContain('');
    expect(asking).not.toHaveLength(0);
    for (const key of [
      asking.map(({ id }) => id),
      asking.map(({ attributes }) => attributes.label),
    ]) {
      expect(key).not.toContain(undefined);
      expect(new Set(key).size).toBe(asking.length);
    }
  });
});

it('the form of a bug asks for the family, and knows every one', () => {
  const family = fieldsOf('bug.yml').find(({ id }) => id === 'family');
  const names = FAMILIES.map((each) => each.name);
  expect([...(family?.attributes.options ?? [])].sort()).toEqual([...names, "I don't know"].sort());
});

it.each(readdirSync(FOLDER))('%s links to pages of this repository that exist', (name) => {
  const links = [...read(name).matchAll(/blob\/HEAD\/([\w./-]+)/g)].map(([, file = '']) => file);
  expect(links.filter((file) => !existsSync(file))).toEqual([]);
});
