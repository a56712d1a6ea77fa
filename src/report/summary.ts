/**
 * The job summary: Markdown for people who check a nightly run in the morning. It says what was
 * deleted, why, and what could not be seen, and stays below the size at which GitHub drops a summary whole.
 */
import { fit } from './fit.js';
import type { Run } from '../run/run.js';
import {
  orphansSection,
  refusedOrphansSection,
  undeletableOrphansSection,
} from './sections/orphans.js';
import { digestsSection } from './sections/digests.js';
import { explanationsSection } from './sections/explanations.js';
import { headlineSection } from './sections/headline.js';
import { keptManifestsSection } from './sections/kept-manifests.js';
import { problemsSection, refusalsSection, warningsSection } from './sections/notices.js';
import { appliedPlanSection, planFileSection } from './sections/plan.js';
import { protectedManifestsSection } from './sections/protected-manifests.js';
import { pieSection, repositoriesSection } from './sections/repositories.js';
import { backupSection, diskSection } from './sections/aftermath.js';
import { brokenBeforeSection, visibilitySection } from './sections/visibility.js';
import { totals } from './totals.js';

/**
 * @param limitBytes of UTF-8; rows are cut to stay below it, and the summary says how many
 */
export function renderSummary(run: Run, limitBytes?: number): string {
  const sums = totals(run);
  return fit(
    [
      headlineSection(run, sums),
      planFileSection(run, sums),
      problemsSection(run),
      refusalsSection(run, sums),
      repositoriesSection(run, sums),
      orphansSection(run, sums),
      refusedOrphansSection(run, sums),
      undeletableOrphansSection(run),
      digestsSection(run),
      pieSection(run, sums),
      backupSection(run, sums),
      appliedPlanSection(run, sums),
      protectedManifestsSection(run),
      keptManifestsSection(run),
      visibilitySection(run, sums),
      brokenBeforeSection(run),
      warningsSection(run),
      diskSection(run, sums),
      explanationsSection(run, sums),
    ],
    limitBytes,
  );
}
