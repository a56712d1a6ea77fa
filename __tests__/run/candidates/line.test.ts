import { describe, expect, it } from '@jest/globals';

import { readLine } from '../../../src/run/candidates/line.js';
import { digest } from '../../support/builders/candidates.js';

const HOST = 'registry.example:5000';
const A = digest('a');
const LONG = digest('b', 'sha512');

describe('references', () => {
  it.each([
    [`team/app@${A}`, 'team/app'],
    [`team/app:v1@${A}`, 'team/app'],
    [`app@${A}`, 'app'],
    [`app:v1@${A}`, 'app'],
    [`my.app@${A}`, 'my.app'],
    [`registry.example:5000/team/app@${A}`, 'team/app'],
    [`Registry.Example:5000/team/app:v1@${A}`, 'team/app'],
    [`https://registry.example:5000/team/app:v1@${A}`, 'team/app'],
    [`HTTP://registry.example:5000/app@${A}`, 'app'],
    [`registry.example:5000/my.team/app@${A}`, 'my.team/app'],
    [`registry.example:5000/localhost/app@${A}`, 'localhost/app'],
    [`  team/app@${A}  `, 'team/app'],
    [`team/app@${A} # the old one`, 'team/app'],
    [`2026-11-23T09:05:19.77Z team/app@${A}`, 'team/app'],
  ])('%s names a manifest of %s', (line, repository) => {
    expect(readLine(line, HOST)).toEqual({ kind: 'manifest', repository, digest: A });
  });

  it('may have a sha512 digest', () => {
    expect(readLine(`team/app@${LONG}`, HOST)).toEqual({
      kind: 'manifest',
      repository: 'team/app',
      digest: LONG,
    });
  });

  it.each([
    ['registry.example', 'registry.example:443'],
    ['registry.example:443', 'registry.example'],
    ['registry.example:80', 'registry.example'],
    ['localhost', 'LOCALHOST:80'],
    ['[::1]:5000', '[::1]:5000'],
  ])('know the registry %s when they say %s', (ours, theirs) => {
    expect(readLine(`${theirs}/app@${A}`, ours)).toEqual({
      kind: 'manifest',
      repository: 'app',
      digest: A,
    });
  });

  it.each([
    `other.example/app@${A}`,
    `registry.example/app@${A}`,
    `registry.example:5001/app@${A}`,
    `localhost/app@${A}`,
    `Team/app@${A}`,
    `https://other.example/team/app@${A}`,
    `https://team/app@${A}`,
    `my.team/app@${A}`,
  ])('%s belongs to another registry', (line) => {
    expect(readLine(line, HOST)).toEqual({
      kind: 'unknown',
      note: expect.stringMatching(/^another registry/),
    });
  });

  it.each([
    `team/App@${A}`,
    `team//app@${A}`,
    `/app@${A}`,
    `../app@${A}`,
    `@${A}`,
    `team/app:@${A}`,
    `team/app:a:b@${A}`,
    `team/app@${A}0`,
    `team/app@${A.slice(0, -1)}`,
    `team/app@sha256:${'A'.repeat(64)}`,
    `team/app@sha384:${'a'.repeat(96)}`,
    `see team/app@${A}`,
    `user:secret@registry.example:5000/app@${A}`,
    `${'a'.repeat(256)}@${A}`,
  ])('%s is not valid', (line) => {
    expect(readLine(line, HOST).kind).toBe('unknown');
  });
});

describe('the garbage collector', () => {
  it.each([
    [`team/app: marking manifest ${A} `, { repository: 'team/app', digest: A }],
    [`team/app: marking blob ${A}`, { repository: 'team/app' }],
    [`manifest eligible for deletion: ${A}`, { digest: A }],
    [
      `manifest eligible for deletion: {team/app ${A} [v1 v2]}`,
      { repository: 'team/app', digest: A },
    ],
    [`manifest eligible for deletion: {team/app ${A} []}`, { repository: 'team/app', digest: A }],
    [`blob eligible for deletion: ${A}`, {}],
    [`team/app: layer link eligible for deletion: ${A}`, {}],
    ['15 blobs marked, 13 blobs and 4 manifests eligible for deletion', {}],
    ['manifest tags path of repository team/app does not exist', {}],
  ])('prints %s', (line, says) => {
    expect(readLine(line, HOST)).toEqual({ kind: 'collector', ...says });
  });

  it.each([
    `Team/App: marking manifest ${A}`,
    'team/app: marking manifest sha256:abc',
    'manifest eligible for deletion: sha256:abc',
    `manifest eligible for deletion: {../app ${A} []}`,
  ])('never prints %s', (line) => {
    expect(readLine(line, HOST)).toEqual({ kind: 'unknown' });
  });
});

describe('other lines', () => {
  it.each(['', '   ', '\t', '\uFEFF', '# a comment', '  # another'])('%j is ignored', (line) => {
    expect(readLine(line, HOST)).toEqual({ kind: 'ignored' });
  });

  it.each([
    'time="2026-11-23T09:05:19Z" level=info msg="response completed" http.request.method=GET',
    `time="2026-11-23T09:05:19Z" level=error msg="unknown manifest team/app@${A}"`,
    'total 12',
    'TOTAL: 3 objects, 213 bytes (213 B)',
    'Total Objects: 3',
    '   Total Size: 213',
  ])('%s is noise', (line) => {
    expect(readLine(line, HOST)).toEqual({ kind: 'noise' });
  });

  it.each([
    ['team/app', { path: 'team/app', repository: 'team/app' }],
    ['/var/lib/registry', { path: '/var/lib/registry' }],
    ['./docker:', { path: './docker' }],
    ['drwxr-xr-x 3 root root 4096 Nov 23 09:05 docker', { path: 'docker' }],
    ['10111218  4 drwxr-xr-x 3 root root 4096 Nov 23 09:05 data/docker', { path: 'data/docker' }],
  ])('%s is a word, whose neighbours decide', (line, says) => {
    expect(readLine(line, HOST)).toEqual({ kind: 'word', ...says });
  });

  it.each([
    'hello world',
    '{"a": 1}',
    'v1: digest: sha256:abc size: 439',
    '::set-output name=a::b c',
  ])('%s is unknown', (line) => {
    expect(readLine(line, HOST)).toEqual({ kind: 'unknown' });
  });
});
