/** Tells the runner what it has to mask in the job's log. */
import * as core from '@actions/core';

/**
 * The command that tells it holds the secret. So it is printed only where a runner takes it out of the log again: on
 * GitHub, and on Forgejo and Gitea, whose runners set the same variable. Nothing else that a run prints has secrets.
 */
export function maskInLog(secret: string): void {
  if (process.env['GITHUB_ACTIONS'] === 'true') {
    core.setSecret(secret);
  }
}
