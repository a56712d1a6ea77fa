/** Plans in files: a dry-run writes one and a run carries it out. Plan and report are held against their schemas. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, expect } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormatsModule from 'ajv-formats';
import * as v from 'valibot';

import type { Destination } from '../clients/push.js';
import { clean, type ActionRun } from '../clients/run-action.js';
import { present } from '../servers/real-registries.js';

const ajv = new Ajv2020({ strict: true, allErrors: true });
addFormatsModule.default(ajv);
const schema = (name: string) =>
  ajv.compile(
    JSON.parse(readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8')) as object,
  );
const isPlan = schema('plan-file.schema.json');
const isReport = schema('report.schema.json');

const Plan = v.looseObject({
  registry: v.string(),
  repositories: v.array(
    v.looseObject({
      repository: v.string(),
      manifests: v.array(v.looseObject({ digest: v.string() })),
    }),
  ),
});
export type Plan = v.InferOutput<typeof Plan>;

const Report = v.object({
  requests: v.number(),
  appliedPlan: v.optional(v.object({ createdAt: v.string(), ignored: v.number() })),
  repositories: v.array(
    v.object({
      repository: v.string(),
      orphans: v.array(v.object({ digest: v.string(), fate: v.string() })),
      left: v.optional(
        v.array(
          v.object({
            digest: v.string(),
            why: v.string(),
            reason: v.optional(v.looseObject({ kind: v.string() })),
          }),
        ),
      ),
      kept: v.array(v.object({ digest: v.string(), reason: v.looseObject({ kind: v.string() }) })),
      gaps: v.array(v.object({ what: v.string(), why: v.string() })),
    }),
  ),
});

export interface PlanFiles {
  /** the path of a file in a directory of the test's own */
  readonly file: (name: string) => string;
  /** Lets a dry-run write its plan, which is returned and lies in the file. */
  readonly planned: (
    registry: Pick<Destination, 'url'>,
    name: string,
    inputs: Record<string, string>,
  ) => Promise<Plan>;
}

/** For the tests of a file: their directory is removed after the last of them. */
export function planFiles(): PlanFiles {
  const home = mkdtempSync(path.join(tmpdir(), 'plan-file-'));
  afterAll(() => {
    rmSync(home, { recursive: true, force: true });
  });
  const file = (name: string) => path.join(home, name);

  return {
    file,
    async planned(registry, name, inputs) {
      const run = await clean(registry, { ...inputs, 'dry-run': 'true', 'plan-file': file(name) });
      expect(run.log).not.toContain('::error');
      expect(run.exitCode).toBe(0);
      expect(run.outputs).toMatchObject({ 'plan-file': file(name), 'deleted-count': '0' });
      const plan: unknown = JSON.parse(readFileSync(file(name), 'utf8'));
      expect([isPlan(plan), isPlan.errors]).toEqual([true, null]);
      return v.parse(Plan, plan);
    },
  };
}

/** `repository@digest` of all that a plan lists. */
export function listedIn({ repositories }: Plan): Set<string> {
  return new Set(
    repositories.flatMap(({ repository, manifests }) =>
      manifests.map(({ digest }) => `${repository}@${digest}`),
    ),
  );
}

export function reportOf({ report }: ActionRun): v.InferOutput<typeof Report> {
  expect([isReport(report), isReport.errors]).toEqual([true, null]);
  return v.parse(Report, report);
}

/** What the report says of one repository. */
export function reported(
  run: ActionRun,
  repository: string,
): v.InferOutput<typeof Report>['repositories'][number] {
  const found = reportOf(run).repositories.find((each) => each.repository === repository);
  return present(found);
}

/** What the summary has under the heading `### The plan`. */
export function planSection({ summary }: ActionRun): string {
  return /^### The plan\n([^]*?)(?=^### |\s*$(?![^]))/m.exec(summary)?.[1] ?? '';
}
