/**
 * What a first run tells a newcomer: it could see next to nothing, and here is the command that shows the rest. For
 * registries that can't list untagged manifests, as long as neither the ledger nor an input names any.
 */
import { code } from '../text/markdown.js';
import { pageLink } from '../text/pages.js';
import { count } from '../text/words.js';
import type { Run } from '../run/run.js';
import { totals } from './totals.js';

const LISTING = 'docs/finding-orphans.md#a-listing-of-the-storage';
const STORAGE = '/var/lib/registry';
const FILE = 'manifests.txt';

/** Markdown of several paragraphs, without a heading; `undefined` if the run needs none. */
export function firstRunHint(run: Run): string | undefined {
  if (!isBlind(run)) {
    return undefined;
  }
  const { host } = run.settings.registry;
  const seen = count(totals(run).manifests, 'manifest');
  return `**This run could see only ${seen}, and most of what lost its tag before it is not among them.** To find the rest, list what the storage of ${code(host)} holds, on the registry's own machine:

\`\`\`sh
${command(run)}
\`\`\`

${code(STORAGE)} is the root directory of the storage. If the registry runs in a container, put \`docker exec NAME\` in front. Then give the file to a dry-run. That only makes its manifests candidates, so what is in use stays:

\`\`\`yaml
registry-url: ${registryUrl(run)}
digests-file: ${FILE}
dry-run: true
\`\`\`

[Finding orphans](${pageLink(LISTING, run.pages)}) has the commands for ssh and for buckets. [first-cleanup.yml](${pageLink('examples/first-cleanup.yml', run.pages)}) is a workflow that does all of it.`;
}

/** The same for the log, in one line of plain text. */
export function firstRunNote(run: Run): string | undefined {
  return isBlind(run)
    ? `this run could not see most of what lost its tag before it. List the storage on the machine of ${run.settings.registry.host} ` +
        `(${command(run)}), and give the list to a dry-run (digests-file: ${FILE}): ${pageLink(LISTING, run.pages)}`
    : undefined;
}

/** Whether the run read something, and nothing told it of manifests without a tag. */
function isBlind({ untaggedListing, repositories, applied, intake, ledger }: Run): boolean {
  const isNamed = [...intake.candidates.values()].some((digests) => digests.size > 0);
  return (
    untaggedListing === 'none' &&
    repositories.length > 0 &&
    applied === undefined &&
    !isNamed &&
    (ledger?.remembered ?? 0) === 0
  );
}

/** For one repository if the run read only that; a name that is more than a plain path to a shell is left out. */
function command({ repositories, everyRepositoryScanned, unread }: Run): string {
  const [only, ...others] = repositories.map(({ inventory }) => inventory.repository);
  const isAlone = others.length === 0 && !everyRepositoryScanned && unread === 0;
  const from =
    isAlone && only !== undefined && /^\w[\w./-]*$/.test(only)
      ? `${STORAGE}/docker/registry/v2/repositories/${only}`
      : STORAGE;
  return `find ${from} -path '*/_manifests/revisions/*' -name link > ${FILE}`;
}

/** As the input takes it: without a scheme it is https. */
function registryUrl({ settings: { registry } }: Run): string {
  return registry.protocol === 'https:' ? registry.host : registry.origin;
}
