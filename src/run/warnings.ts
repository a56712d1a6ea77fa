/** What is worth a warning in one repository, in words that say what to do. Pure; safe to print. */
import type { Survey } from '../plan/survey.js';
import { entryTagPrefix } from '../memory/ledger/artifact.js';
import { coded } from '../text/code.js';

const UNTYPED =
  'the registry sends manifests without a Content-Type that says what they are, so that was read from the ' +
  'manifests themselves. Does a proxy change or drop the header?';

export function warningsOf({ inventory, plan }: Pick<Survey, 'inventory' | 'plan'>): string[] {
  const isEmpty = inventory.tags.size + inventory.manifests.size + inventory.gaps.length === 0;
  return [
    ...(isEmpty
      ? [
          coded(
            'it has no tags, and none of the digests named for it exists. Is its name right?',
            'repository-empty',
          ),
        ]
      : []),
    ...(inventory.isUntyped ? [coded(UNTYPED, 'type-missing')] : []),
    ...plan.keep.flatMap(({ digest, reason }) =>
      reason.kind === 'narrowed'
        ? [
            coded(
              `the tag ${reason.tag} pointed at ${digest} and now points at ${reason.part}, a part of it, so the whole is ` +
                'kept. A proxy that ignores `Accept` answers so: let it pass requests under `/v2/` through unchanged. If ' +
                'the tag was moved on purpose, delete the manifest by hand',
              'tag-narrowed',
            ),
          ]
        : [],
    ),
  ];
}

/** @param ledger where it lies */
export function whyVanished(repository: string, ledger: string): string {
  return coded(
    `${repository}: an earlier run saw manifests there, and now the registry shows none of them and no tag. May these ` +
      'credentials still read it? The ledger keeps what it remembers. If the repository was emptied on purpose, delete ' +
      `the tag \`${entryTagPrefix(repository)}…\` in ${ledger}`,
    'repository-vanished',
  );
}

/** @param when how far the run had come */
export function whyStopped({ reason }: AbortSignal, when: string): string {
  return coded(
    `the run was told to stop (${String(reason)}) ${when}. Run it again to finish its work`,
    'run-stopped',
  );
}
