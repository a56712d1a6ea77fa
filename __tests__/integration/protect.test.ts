/**
 * A hundred files of the kinds that pin images by digest, and a registry in which nothing else keeps these images:
 * its directory says what stays, and report and summary have to say which file saved which manifest.
 */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { digits } from '../../src/text/words.js';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import * as v from 'valibot';

import { runAction, type ActionRun } from '../support/clients/run-action.js';
import {
  cosign,
  digestTag,
  fallbackIndex,
  image,
  index,
  LINUX_ARM64,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { describeWith } from '../support/servers/describe-with.js';
import {
  onDisk,
  startDockerRegistry,
  storageListing,
  type DockerRegistry,
} from '../support/servers/docker-registry.js';
import { apart } from '../support/clients/ledger.js';
import { findDockerRegistry } from '../support/servers/programs.js';
import { push } from '../support/clients/push.js';

jest.setTimeout(120_000);

const program = findDockerRegistry();
// The action names files by the way from its working directory, which is another one below this.
const temporary = realpathSync(tmpdir());
const workspace = mkdtempSync(path.join(temporary, 'protect-'));

const HOST = 'registry.example.com';

/** What a file pins: in the words that its format has for it. */
interface Pin {
  readonly repository: string;
  readonly digest: string;
}

type Format = readonly [file: (n: number) => string, text: (pin: Pin) => string | Buffer];

const reference = ({ repository, digest }: Pin) => `${HOST}/${repository}@${digest}`;
const tagged = ({ repository, digest }: Pin) => `${HOST}/${repository}:1.2.3@${digest}`;
const json = (value: unknown) => JSON.stringify(value, undefined, 2);
const container = (pin: Pin) => ({ name: 'main', image: tagged(pin) });

/** Each of another kind, as such files look. */
const FORMATS: readonly Format[] = [
  [
    (n) => `k8s/deployment-${n}.yaml`,
    (pin) => `apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  template:
    spec:
      initContainers:
        - { name: wait, image: busybox:1.36 }
      containers:
        - name: web
          image: ${reference(pin)}
`,
  ],
  [
    (n) => `k8s/cronjob-${n}.json`,
    (pin) =>
      json({
        apiVersion: 'batch/v1',
        kind: 'CronJob',
        spec: { jobTemplate: { spec: { template: { spec: { containers: [container(pin)] } } } } },
      }),
  ],
  [
    (n) => `k8s/list-${n}.yml`,
    (pin) => `---
apiVersion: v1
kind: ConfigMap
---
apiVersion: v1
kind: Pod
spec:
  containers:
  - image: "${tagged(pin)}"
...
`,
  ],
  [
    (n) => `k8s/overlays/prod-${n}/kustomization.yaml`,
    ({ repository, digest }) => `resources: [../../base]
images:
  - name: web
    newName: ${HOST}/${repository}
    digest: ${digest}
`,
  ],
  [
    (n) => `charts/app-${n}/values.yaml`,
    ({ repository, digest }) => `replicaCount: 2
image:
  registry: ${HOST}
  repository: ${repository}
  # the digest wins over the tag
  tag: "1.2.3"
  digest: "${digest}"
`,
  ],
  [
    (n) => `charts/app-${n}/rendered.txt`,
    (pin) => `# Source: app/templates/rollout.yaml\n          image: '${reference(pin)}'\n`,
  ],
  [
    (n) => `flux/release-${n}.yaml`,
    ({ digest }) => `kind: HelmRelease
spec: { values: { image: { tag: 1.2.3, digest: ${digest} } } }
`,
  ],
  [
    (n) => `tekton/task-${n}.yaml`,
    (pin) => `kind: Task\nspec:\n  steps:\n    - image: ${reference(pin)} # pinned\n`,
  ],
  [
    (n) => `compose/compose.${n}.yaml`,
    (pin) => `services:
  web:
    image: ${tagged(pin)}
  db:
    image: postgres:17
`,
  ],
  [
    (n) => `compose/docker-compose.${n}.yml`,
    ({ repository, digest }) =>
      `version: "3.8"\r\nservices:\r\n  web: {image: "\${REGISTRY}/${repository}@${digest}"}\r\n`,
  ],
  [
    (n) => `images/${n}/Dockerfile`,
    (pin) => `# syntax=docker/dockerfile:1
FROM --platform=$BUILDPLATFORM ${reference(pin)} AS build
RUN make
`,
  ],
  [
    (n) => `images/${n}/prod.Dockerfile`,
    (pin) => `ARG BASE=${tagged(pin)}\nFROM \${BASE}\nCOPY --from=build /app /app\n`,
  ],
  [
    (n) => `terraform/service-${n}.tf`,
    (pin) => `resource "docker_image" "app" {
  name = "${reference(pin)}"
}
`,
  ],
  [
    (n) => `terraform/prod-${n}.auto.tfvars`,
    ({ digest }) => `image_tag    = "1.2.3"\nimage_digest = "${digest}"\n`,
  ],
  [
    (n) => `terraform/main-${n}.tf.json`,
    (pin) => json({ locals: { image: `\${var.registry}/x@${pin.digest}` } }),
  ],
  [
    (n) => `nomad/job-${n}.hcl`,
    (pin) => `job "web" { group "g" { task "t" { config { image = "${reference(pin)}" } } } }\n`,
  ],
  [
    (n) => `.github/workflows/ci-${n}.yml`,
    (pin) => `jobs:
  test:
    container: ${reference(pin)}
    steps:
      - uses: docker://alpine:3
`,
  ],
  [
    (n) => `.gitlab/ci-${n}.yml`,
    (pin) => `test:\n  image:\n    name: ${tagged(pin)}\n    entrypoint: [""]\n`,
  ],
  [
    (n) => `.devcontainer/${n}/devcontainer.json`,
    (pin) => `// JSON with comments\n{ "image": "${reference(pin)}", /* why */ "mounts": [], }\n`,
  ],
  [
    (n) => `deploy/images-${n}.lock`,
    ({ repository, digest }) => `lock_version = 1
[[image]]
name = "${HOST}/${repository}"
checksum = "${digest}"
`,
  ],
  [
    (n) => `deploy/build-${n}.json`,
    (pin) => JSON.stringify({ builds: [{ imageName: 'web', tag: tagged(pin) }] }),
  ],
  [
    (n) => `bazel/${n}.MODULE.bazel`,
    ({ repository, digest }) =>
      `oci.pull(name = "base", image = "${HOST}/${repository}", digest = "${digest}")\n`,
  ],
  [
    (n) => `nix/image-${n}.nix`,
    ({ repository, digest }) => `dockerTools.pullImage {
  imageName = "${HOST}/${repository}";
  imageDigest = "${digest}";
  sha256 = "0000000000000000000000000000000000000000000000000000";
}
`,
  ],
  [
    (n) => `systemd/web-${n}.container`,
    (pin) => `[Container]\nImage=${reference(pin)}\n[Install]\nWantedBy=default.target\n`,
  ],
  [
    (n) => `windows/export-${n}.txt`,
    // As `kubectl … > export.txt` writes it there.
    (pin) => Buffer.from(`\ufeffImage: ${reference(pin)}\r\nBüro: ja\r\n`, 'utf16le'),
  ],
];

const FILES = 100;
const REPOSITORIES = ['team/web', 'team/api', 'platform/base/db'];

/** Something that people push without a tag that lasts: what hangs on it is pushed beside it. */
interface Pushed {
  readonly repository: string;
  readonly content: Content;
  /** what refers to it, under these digest tags or by digest alone */
  readonly about: readonly (readonly [Content, ...(readonly string[])])[];
}

/** Of six shapes in turn; the same name gives the same bytes. */
function push6(name: string, n: number): Pushed {
  const repository = REPOSITORIES[n % REPOSITORIES.length] ?? '';
  const [amd64, arm64] = [
    image(`${name} amd64`),
    image(`${name} arm64`, { platform: LINUX_ARM64 }),
  ];
  const signed = (content: Content): Pushed['about'][number] => [
    cosign('sig', content),
    digestTag(content.digest, 'sig'),
  ];
  switch (Math.floor(n / REPOSITORIES.length) % 6) {
    case 0:
      return { repository, content: amd64, about: [] };
    case 1:
      return { repository, content: index([amd64, arm64]), about: [] };
    case 2:
      return { repository, content: amd64, about: [signed(amd64)] };
    case 3: {
      const list = index([amd64, arm64]);
      return { repository, content: list, about: [signed(list), signed(arm64)] };
    }
    case 4: {
      const sbom = referrer(`${name} sbom`, amd64);
      const list = fallbackIndex([sbom]);
      return { repository, content: amd64, about: [[list, digestTag(amd64.digest)]] };
    }
    default:
      return {
        repository,
        content: index([index([amd64]), arm64], { family: 'oci' }),
        about: [],
      };
  }
}

const keyOf = (repository: string, { digest }: Content) => `${repository}@${digest}`;

/** All manifests of it, as the registry's disk has them. */
function treeOf({ repository, content, about }: Pushed): string[] {
  const tree = (root: Content): Content[] => [root, ...root.children.flatMap(tree)];
  return [content, ...about.map(([each]) => each)]
    .flatMap(tree)
    .map((each) => keyOf(repository, each));
}

const pinned = Array.from({ length: FILES }, (_, n) => push6(`pinned ${n}`, n));
const stray = Array.from({ length: 36 }, (_, n) => push6(`stray ${n}`, n));
const current = REPOSITORIES.map((repository, n) => ({ ...push6(`current ${n}`, n), repository }));

/** The file that pins each of them, by its place; one for each. */
const files = pinned.map(({ repository, content }, n) => {
  const [name, text] = FORMATS[n % FORMATS.length] ?? [];
  const file = name?.(Math.floor(n / FORMATS.length)) ?? '';
  return { file, text: text?.({ repository, digest: content.digest }) ?? '' };
});

const write = (name: string, text: string | Buffer): string => {
  const file = path.join(workspace, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
};

/** A file as the action names it, whose working directory lies beside the workspace. */
const named = (file: string) => path.join('..', path.basename(workspace), file);

const Report = v.object({
  pinned: v.object({ files: v.number(), digests: v.number(), unmet: v.optional(v.number()) }),
  problems: v.array(v.object({ what: v.string() })),
  repositories: v.array(
    v.object({
      repository: v.string(),
      kept: v.array(
        v.object({
          digest: v.string(),
          reason: v.object({
            kind: v.string(),
            input: v.optional(v.boolean()),
            files: v.optional(v.array(v.string())),
          }),
        }),
      ),
      absent: v.array(v.string()),
    }),
  ),
});

/** What protects what, after the report: `repository@digest` → the input `protect`, and the files. */
function protectedIn(run: ActionRun): Map<string, readonly string[]> {
  const { repositories } = v.parse(Report, run.report);
  return new Map(
    repositories.flatMap(({ repository, kept }) =>
      kept.flatMap(({ digest, reason }) =>
        reason.kind === 'protected'
          ? [
              [
                `${repository}@${digest}`,
                [...(reason.input === true ? ['protect'] : []), ...(reason.files ?? [])],
              ] as const,
            ]
          : [],
      ),
    ),
  );
}

describeWith('docker-registry', program, 'a hundred files that pin images', () => {
  let registry: DockerRegistry;
  let listing: string;
  const globs = [
    'k8s/**/*.y*ml',
    'k8s/*.json',
    'charts',
    'flux/*',
    'tekton/**',
    'compose/*.y*ml',
    'images/**/*Dockerfile',
    'terraform/**',
    'nomad/*.hcl',
    '.github/workflows',
    '.gitlab/*.yml',
    '.devcontainer/**/*.json',
    'deploy/*.lock',
    'deploy/build-?.json',
    'bazel/*',
    'nix/*.nix',
    'systemd/*.container',
    'windows/*.txt',
  ].map((glob) => path.join(workspace, glob));
  const protectFiles = [...globs, `!${workspace}/**/old/**`].join('\n');

  beforeAll(async () => {
    files.forEach(({ file, text }) => {
      write(file, text);
    });
    if (program === undefined) {
      return;
    }
    registry = await startDockerRegistry(program);
    const pushAll = async (all: readonly Pushed[]) => {
      for (const { repository, content, about } of all) {
        await push(registry, repository, content);
        for (const [each, ...tags] of about) {
          await push(registry, repository, each, ...tags);
        }
      }
    };
    // Pushes to different repositories are no trouble to each other.
    await Promise.all(
      REPOSITORIES.map((repository) =>
        pushAll([...pinned, ...stray].filter((each) => each.repository === repository)),
      ),
    );
    for (const { repository, content } of current) {
      await push(registry, repository, content, 'latest');
    }
    // A third of what is pinned is named by its file alone: the listing has only what belongs to it.
    const alone = pinned
      .filter((_, n) => n % 3 === 0)
      .map(({ content }) => content.digest.slice(7));
    const lines = storageListing(registry.directory).filter(
      (line) => !alone.some((hex) => line.includes(`/revisions/sha256/${hex}/`)),
    );
    listing = write('listing.txt', lines.join('\n'));
  });

  afterAll(async () => {
    await registry.stop();
    rmSync(workspace, { recursive: true, force: true });
  });

  const clean = (inputs: Record<string, string>) =>
    runAction({ 'registry-url': registry.url, 'digests-file': listing, ...inputs });
  const users = () => apart(onDisk(registry.directory)).users;
  const staying = new Set(current.flatMap(treeOf));
  const saved = new Set(pinned.flatMap(treeOf));

  it('are a hundred, of 25 kinds, and the registry has what they pin and more', () => {
    expect(new Set(files.map(({ file }) => file)).size).toBe(FILES);
    expect(FORMATS).toHaveLength(25);
    const gone = new Set(stray.flatMap(treeOf));
    expect(users()).toEqual(new Set([...staying, ...saved, ...gone]));
    expect(gone.size).toBeGreaterThan(50);
  });

  // The tests of this file follow each other as the runs of a workflow do.
  it('send nothing to the registry where none of them is found', async () => {
    const before = registry.log().length;
    const run = await clean({ 'protect-files': `${protectFiles}\n${workspace}/k8s/*.yamll` });
    expect(run.exitCode).toBe(1);
    expect(run.log).toMatch(
      /^::error::protect-files: ".*\/k8s\/\*\.yamll" matches no file in .*, so nothing would be protected by it\./m,
    );
    expect(registry.log().length).toBe(before);
  });

  it('block nothing where one names a layer', async () => {
    const before = users();
    const layer = [...(current[0]?.content.blobs.keys() ?? [])].at(-1) ?? '';
    const run = await clean({
      'protect-files': write('layers.lock', `layer ${layer}\n`),
      repositories: REPOSITORIES[0] ?? '',
      'dry-run': 'true',
    });
    expect(run.exitCode).toBe(0);
    expect(users()).toEqual(before);
    const { problems, pinned: found } = v.parse(Report, run.report);
    expect(problems).toEqual([]);
    expect(found).toMatchObject({ digests: 1, unmet: 0 });
    expect(Number(run.outputs['orphans-found'])).toBeGreaterThan(10);
  });

  it('save each manifest that they pin with all that it reaches, by name', async () => {
    const old = stray[0];
    write('k8s/old/deployment.yaml', `image: app@${old?.content.digest ?? ''}`);
    const run = await clean({ 'protect-files': protectFiles });
    expect(run.log).not.toContain('::error');
    expect(run.exitCode).toBe(0);
    expect(users()).toEqual(new Set([...staying, ...saved]));

    const report = v.parse(Report, run.report);
    expect(report.pinned).toMatchObject({ files: FILES, digests: FILES });
    expect(run.log).toContain('protect-files: 100 digests in 100 files');
    const expected = new Map(
      pinned.map(({ repository, content }, n) => [
        keyOf(repository, content),
        [named(files[n]?.file ?? '')],
      ]),
    );
    expect(protectedIn(run)).toEqual(expected);
    // What is pinned elsewhere is not missed here.
    expect(report.repositories.flatMap(({ absent }) => absent)).toEqual([]);

    const shortened = (key: string) => key.replace(/@.*/, (digest) => `@${digits(digest)}`);
    const rows = run.summary.split('\n').filter((line) => line.startsWith('|'));
    const unnamed = [...expected].filter(
      ([key, [file = '']]) =>
        !rows.some((row) => row.includes(`\`${shortened(key)}\``) && row.includes(`\`${file}\``)),
    );
    expect(unnamed).toEqual([]);
    expect(run.summary).toContain('`protect-files` named 100 digests in 100 files.');
  });

  it('save them again in the next run, which has nothing to delete', async () => {
    const before = users();
    const run = await clean({ 'protect-files': protectFiles });
    expect(run.exitCode).toBe(0);
    expect(run.outputs).toMatchObject({ 'orphans-found': '0', 'deleted-count': '0' });
    expect(users()).toEqual(before);
  });

  it('are all named where several pin one, as `protect` is', async () => {
    const [first, second] = pinned;
    const also = write('runbook.md', `Roll back to \`${first?.content.digest ?? ''}\`.\n`);
    const run = await clean({
      'dry-run': 'true',
      'protect-files': `${protectFiles}\n${also}`,
      protect: `${registry.host}/${second?.repository ?? ''}@${second?.content.digest ?? ''}`,
    });
    const by = protectedIn(run);
    const of = (each: Pushed | undefined) =>
      each === undefined ? undefined : by.get(keyOf(each.repository, each.content));
    expect(of(first)).toEqual([named(files[0]?.file ?? ''), named('runbook.md')]);
    expect(of(second)).toEqual(['protect', named(files[1]?.file ?? '')]);
  });

  it('are what saved them: all of it is deleted without them', async () => {
    // The ledger has seen it today for the first time, and would let it wait for a day.
    const run = await clean({ 'max-deletes': '100%', 'grace-period': '0' });
    expect(run.log).not.toContain('::error');
    expect(run.exitCode).toBe(0);
    // What the listing does not name is remembered by the ledger since it was seen.
    expect(users()).toEqual(staying);
  });
});
