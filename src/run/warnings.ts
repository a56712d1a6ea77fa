/** What is worth a warning in one repository, in words that say what to do. Pure; safe to print. */
import type { Survey } from '../plan/survey.js';
import { entryTagPrefix } from '../memory/ledger/artifact.js';

const UNTYPED =
  'the registry sends manifests without a Content-Type that says what they are, so that was read from the ' +
  'manifests themselves. Does a proxy change or drop the header?';

export function warningsOf({ inventory, plan }: Pick<Survey, 'inventory' | 'plan'>): string[] {
  const isEmpty = inventory.tags.size + inventory.manifests.size + inventory.gaps.length === 0;
  return [
    ...(isEmpty
      ? ['it has no tags, and none of the digests named for it exists. Is its name right?']
      : []),
    ...(inventory.isUntyped ? [UNTYPED] : []),
    ...plan.keep.flatMap(({ digest, reason }) =>
      reason.kind === 'narrowed'
        ? [
            `the tag ${reason.tag} pointed at ${digest} and now points at ${reason.part}, a part of it, so the whole is ` +
              'kept. A proxy that ignores `Accept` answers so: let it pass requests under `/v2/` through unchanged. If ' +
              'the tag was moved on purpose, delete the manifest by hand',
          ]
        : [],
    ),
  ];
}

/** @param ledger where it lies */
export function whyVanished(repository: string, ledger: string): string {
  return (
    `${repository}: an earlier run saw manifests there, and now the registry shows none of them and no tag. May these ` +
    'credentials still read it? The ledger keeps what it remembers. If the repository was emptied on purpose, delete ' +
    `the tag \`${entryTagPrefix(repository)}…\` in ${ledger}`
  );
}
