import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { fileOf, INDEX, openBackup } from '../../src/run/backup/backup.js';
import type { RestoreRun } from '../../src/run/restore.js';
import { runRestore } from '../support/scenes/restore-run.js';
import { image, index as multiarch, type Content } from '../support/builders/build.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import { undoOf, withUndo } from '../support/servers/memory/undo.js';
import { seed } from '../support/clients/push.js';
import { present } from '../support/servers/real-registries.js';

const [first, second] = [image('first'), image('second')];
let directory: string;
let registry: MemoryRegistry;

beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'undo-'));
  registry = await startMemoryRegistry();
});

afterEach(async () => {
  await registry.stop();
  rmSync(directory, { recursive: true });
});

/** Into the backup; the registry has what it consists of, and not the manifest. */
async function lose(
  repository: string,
  content: Content,
  at = registry.url,
  id?: string,
): Promise<void> {
  const { digest, mediaType, bytes } = content;
  seed(registry.state, repository, content);
  registry.state.repositories.get(repository)?.manifests.delete(digest);
  const reason = { kind: 'unreachable' } as const;
  const entry = {
    registry: at,
    repository,
    digest,
    mediaType,
    bytes,
    id,
    tags: [],
    savedAt: 0,
    reason,
  };
  await openBackup(directory).save([entry]);
}

const index = () => path.join(directory, INDEX);

/** A line that is JSON, and not one of this version. */
function laterLine(): string {
  const [line = ''] = readFileSync(index(), 'utf8').split('\n');
  return `${JSON.stringify({ ...(JSON.parse(line) as object), version: 2 })}\n`;
}

async function restore(...repositories: string[]): Promise<RestoreRun & { complaints: unknown }> {
  const { run, complaints } = await runRestore({
    url: registry.url,
    restoreFrom: directory,
    repositories,
  });
  return { ...present(run), complaints };
}

const back = ({ repositories }: RestoreRun) =>
  repositories.flatMap(({ restored }) => restored.map(String));

describe('the repositories of a restore', () => {
  beforeEach(async () => {
    await lose('team/app', first);
    await lose('team/web', second);
  });

  it('are all repositories of the backup by default', async () => {
    const run = await restore();
    expect(back(run)).toEqual([first.digest, second.digest]);
    expect(run).toMatchObject({ excluded: 0, complaints: [] });
  });

  it('are counted where they are left out', async () => {
    const run = await restore('team/app');
    expect(back(run)).toEqual([first.digest]);
    expect(run).toMatchObject({ excluded: 1, complaints: [] });
  });

  it('make it red if none of the backup is among them, since a name is wrong', async () => {
    const run = await restore('team/ap');
    expect(back(run)).toEqual([]);
    expect(run.excluded).toBe(2);
    expect(run.complaints).toEqual([
      '`repositories` chooses none of the repositories in the backup, and nothing can be restored. ' +
        'It has team/app, team/web [nothing-selected]',
    ]);
  });

  it('are named up to a few if none is chosen', async () => {
    for (const name of ['a', 'b', 'c', 'd']) {
      await lose(name, first);
    }
    const { complaints } = await restore('team/ap');
    expect(complaints).toEqual([
      expect.stringMatching(/It has a, b, c, d, team\/app and 1 more \[nothing-selected\]$/),
    ]);
  });
});

describe('a backup that is not understood', () => {
  it('makes the run red because of some lines, and the rest is restored', async () => {
    await lose('team/app', first);
    appendFileSync(index(), laterLine().repeat(2));
    const run = await restore();
    expect(back(run)).toEqual([first.digest]);
    expect(run.complaints).toEqual([
      "2 lines of the backup's index could not be understood, and the manifests there can't be restored: a later " +
        'version of this action may have written them. Restore with that version [restore-failed]',
    ]);
  });

  it('makes the run red because of all lines, and is not called empty', async () => {
    await lose('team/app', first);
    writeFileSync(index(), laterLine());
    const { complaints } = await restore();
    expect(complaints).toEqual([
      expect.stringMatching(/^1 line of the backup's index could not be understood/),
    ]);
  });

  it('is not called another registry’s alone', async () => {
    await lose('team/app', first, 'https://other.example');
    appendFileSync(index(), laterLine());
    const { complaints } = await restore();
    expect(complaints).toEqual([
      expect.stringContaining('is `registry-url` the registry that it was made of?'),
      expect.stringContaining('1 line'),
    ]);
  });
});

describe('a backup in which lines are cut off', () => {
  it('is green if others are whole: nothing was deleted of what they are about', async () => {
    await lose('team/app', first);
    appendFileSync(index(), laterLine().slice(0, 50));
    const run = await restore();
    expect(back(run)).toEqual([first.digest]);
    expect(run).toMatchObject({ cutOffLines: 1, complaints: [] });
  });

  it('is red if none is whole', async () => {
    await lose('team/app', first);
    writeFileSync(index(), 'half\nhalf\n');
    const { complaints } = await restore();
    expect(complaints).toEqual([
      `the backup in ${directory} has no manifest of ${registry.url}: none of its lines is whole. A run that is ` +
        'killed while it writes the first of them has deleted nothing; otherwise take the backup as it was made [backup-unusable]',
    ]);
  });
});

it('a restore from an empty backup says that nothing was deleted', async () => {
  writeFileSync(index(), '');
  const { complaints } = await restore();
  expect(complaints).toEqual([expect.stringContaining('nothing was deleted when it was made')]);
});

describe('a backup that is larger than one batch', () => {
  it('is restored in parts, images before the indexes that list them', async () => {
    const padding = 'x'.repeat(4_000_000);
    const indexes = Array.from({ length: 18 }, (_, n) =>
      multiarch([first], { annotations: { padding, n: String(n) } }),
    );
    for (const each of [...indexes, first]) {
      await lose('team/app', each);
    }
    registry.state.repositories.get('team/app')?.manifests.clear();
    const options = { url: registry.url, restoreFrom: directory };
    const look = await runRestore({ ...options, dryRun: true });
    expect(look.complaints).toEqual([]);
    expect(look.run?.repositories[0]?.restored).toHaveLength(19);
    const run = await restore();
    expect(run.complaints).toEqual([]);
    expect(run.repositories).toEqual([
      expect.objectContaining({
        restored: [...indexes, first].map(({ digest }) => digest).sort(),
        failed: [],
      }),
    ]);
  });
});

describe('an index that comes in a batch before what it lists', () => {
  const padding = 'x'.repeat(4_000_000);
  const nested = multiarch([first]);
  const outer = multiarch([nested], { annotations: { padding } });
  const others = Array.from({ length: 17 }, (_, n) =>
    multiarch([second], { annotations: { padding, n: String(n) } }),
  );

  beforeEach(async () => {
    for (const each of [first, second, nested, outer, ...others]) {
      seed(registry.state, 'team/app', each);
    }
    for (const each of [outer, ...others, nested, first, second]) {
      await lose('team/app', each);
    }
    registry.state.repositories.get('team/app')?.manifests.clear();
  });

  it.each([true, false])('is restored after it (dry-run: %s)', async (dryRun) => {
    const { run, complaints } = await runRestore({
      url: registry.url,
      restoreFrom: directory,
      dryRun,
    });
    expect(complaints).toEqual([]);
    expect(back(present(run))).toHaveLength(21);
  });

  it.each([true, false])(
    'is named with it if it can not be restored (dry-run: %s)',
    async (dryRun) => {
      const [config = ''] = [...first.blobs.keys()];
      registry.state.repositories.get('team/app')?.blobs.delete(config);
      const { run } = await runRestore({ url: registry.url, restoreFrom: directory, dryRun });
      const why = expect.stringMatching(/^sha256:\w+, which it lists, could not be restored$/);
      expect(run?.repositories[0]?.failed).toEqual(
        expect.arrayContaining([
          { digest: nested.digest, why },
          { digest: outer.digest, why },
        ]),
      );
      expect(back(present(run))).toHaveLength(18);
    },
  );
});

describe('a registry that restores by itself', () => {
  const padding = 'x'.repeat(4_000_000);
  // More than one batch.
  const indexes = Array.from({ length: 18 }, (_, n) =>
    multiarch([first], { annotations: { padding, n: String(n) } }),
  );
  const all = [first, ...indexes];
  let undo: ReturnType<typeof undoOf>;
  let end: () => void;

  beforeEach(async () => {
    all.forEach((content) => {
      seed(registry.state, 'team/app', content);
    });
    undo = undoOf(registry, 'team/app');
    end = withUndo(registry.url, () => undo.restorer);
    for (const content of all) {
      await lose('team/app', content, registry.url, undo.idOf(content.digest));
    }
    const app = registry.state.repositories.get('team/app');
    app?.manifests.clear();
    app?.blobs.clear();
  });

  afterEach(() => {
    end();
  });

  it('restores what the backup has ids of, though the layers are gone', async () => {
    const run = await restore();
    expect(run.complaints).toEqual([]);
    expect(run.repositories[0]?.byServer).toEqual(all.map(({ digest }) => digest).sort());
    expect(registry.requests.filter(({ method }) => method === 'PUT')).toEqual([]);
  });

  it('is only asked in a dry-run, for what it can restore', async () => {
    const { run, complaints } = await runRestore({
      url: registry.url,
      restoreFrom: directory,
      dryRun: true,
    });
    expect(complaints).toEqual([]);
    expect(back(present(run))).toEqual(all.map(({ digest }) => digest).sort());
    expect(undo.asked).toEqual([]);
    expect(new Set(registry.requests.map(({ method }) => method))).toEqual(
      new Set(['GET', 'HEAD']),
    );
  });
});

it('a restore names the files that it did not read, and restores the rest', async () => {
  await lose('team/app', first);
  await lose('team/app', second);
  const file = fileOf(directory, first.digest);
  renameSync(file, `${file}.moved`);
  symlinkSync(`${file}.moved`, file);
  const run = await restore();
  expect(run.repositories[0]?.restored).toEqual([second.digest]);
  expect(run.failures).toEqual([
    `the file of ${first.digest} in the backup was not read: it is a symbolic link, and links are not followed there. ` +
      'Take the backup as the run left it',
  ]);
});

describe('a restore', () => {
  it('changes nothing in a dry-run', async () => {
    await lose('team/app', first);
    const { run } = await runRestore({ url: registry.url, restoreFrom: directory, dryRun: true });
    expect(back(present(run))).toEqual([first.digest]);
    expect(registry.state.repositories.get('team/app')?.manifests.has(first.digest)).toBe(false);
  });

  it('ends before the next repository when it is stopped, and is red', async () => {
    await lose('team/app', first);
    await lose('team/web', second);
    const controller = new AbortController();
    registry.intercept(({ method }) => {
      if (method === 'PUT') {
        controller.abort('SIGTERM');
      }
      return undefined;
    });
    const { run, complaints } = await runRestore({
      url: registry.url,
      restoreFrom: directory,
      stop: controller.signal,
    });
    expect(back(present(run))).toEqual([first.digest]);
    expect(complaints).toEqual([
      'the run was told to stop (SIGTERM) before it was done. Run it again to finish its work [run-stopped]',
    ]);
  });

  it('names a few of the files that it could not read, and counts the others', async () => {
    const lost = Array.from({ length: 7 }, (_, n) => image(`lost ${String(n)}`));
    for (const content of lost) {
      await lose('team/app', content);
      rmSync(fileOf(directory, content.digest));
      symlinkSync('/dev/null', fileOf(directory, content.digest));
    }
    const { complaints } = await runRestore({ url: registry.url, restoreFrom: directory });
    expect(complaints.filter((complaint) => complaint.startsWith('the file of'))).toHaveLength(5);
    expect(complaints.join('\n')).toContain('2 more files in the backup could not be read either');
  });
});
