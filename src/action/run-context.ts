/** The workflow run that this is, as GitHub tells it. The only reader of the run's context. */
import { context } from '@actions/github';

import type { Run } from '../run/run.js';

/** `undefined` outside of GitHub Actions. */
export function runContext(): Run['run'] {
  const repository = process.env['GITHUB_REPOSITORY'] ?? '';
  if (repository === '' || Number.isNaN(context.runId)) {
    return undefined;
  }
  return {
    url: `${context.serverUrl}/${repository}/actions/runs/${String(context.runId)}`,
    repository,
    workflow: context.workflow,
    event: context.eventName,
  };
}
