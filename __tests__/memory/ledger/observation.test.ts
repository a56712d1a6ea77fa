import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { observe, observeSweep, type Observation } from '../../../src/memory/observation.js';
import type { Status } from '../../../src/plan/past.js';
import { makePlan, type Policy } from '../../../src/plan/plan.js';
import type { Survey } from '../../../src/plan/survey.js';
import { artifactOf } from '../../../src/memory/ledger/artifact.js';
import { remember } from '../../../src/memory/ledger/remember.js';
import { isSame, type LedgerRecord } from '../../../src/memory/ledger/record.js';
import type { Digest } from '../../../src/oci/digest.js';
import { inventoryOf, parsed, policy, type Estate } from '../../support/builders/inventories.js';
import { APP, digests } from '../../support/scenes/survey.js';
import { builtEstates, runs } from '../../support/builders/arbitraries.js';
import { inventoryOfBuilt } from '../../support/builders/random-estate.js';
import {
  attestation,
  cosign,
  digestTag,
  fallbackIndex,
  image,
  index,
  opaque,
  referrer,
  type Content,
} from '../../support/builders/build.js';
import { recordOf, recordsOf, THEN } from '../../support/builders/records.js';
import { observation } from '../../support/scenes/ledger.js';
import { fatesFrom } from '../../support/builders/fates.js';

const LATER = THEN + 1000;
const NOBODY: ReadonlySet<Digest> = new Set();

const a = image('a');
const b = image('b');
const sbom = referrer('sbom', a);
const signature = cosign('sig', a);
const GAP = { gaps: [{ what: 'tag v1', why: 'no answer' }] };

function surveyOf(estate: Estate, rules: Partial<Policy> = {}): Survey {
  const inventory = inventoryOf(estate);
  const all = [...Object.values(estate.tags ?? {}), ...(estate.untagged ?? [])].flatMap(whole);
  return {
    inventory,
    plan: makePlan(inventory, policy(rules)),
    bodies: new Map(all.map(({ digest, bytes }) => [digest, bytes.toString('utf8')])),
  };
}

/** A content with all that it holds. */
function whole(content: Content): Content[] {
  return [content, ...content.children.flatMap(whole)];
}

/** The record of `a` after an observation, and whether it is a new one. */
function after(
  record: LedgerRecord,
  seen: Observation,
  droppable: ReadonlySet<Digest> = NOBODY,
): LedgerRecord | undefined {
  return remember(new Map([[a.digest, record]]), seen, {
    droppable: droppable,
    restates: false,
    now: LATER,
  }).get(a.digest);
}

describe('a manifest, as a survey observes it,', () => {
  it('is in use where an ordinary tag reaches it', () => {
    const child = image('child');
    const nested = index([index([child]), attestation('child', child)]);
    const described = image('described');
    const survey = surveyOf({
      tags: {
        v1: nested,
        v2: image('with a subject', { subject: described }),
        v3: a,
        [digestTag(a.digest, 'sig')]: signature,
        [digestTag(nested.digest)]: fallbackIndex([referrer('sbom', nested)]),
      },
      untagged: [described, sbom, referrer('of the child', child)],
    });
    const { inUse, leaving, wanted: rest, isComplete } = observe(survey);
    expect(inUse).toEqual(new Set(survey.inventory.manifests.keys()));
    expect(leaving.size).toBe(0);
    expect(rest.size).toBe(0);
    expect(isComplete).toBe(true);
  });

  it('is in use where an unknown manifest in use mentions it', () => {
    const { inUse } = observe(
      surveyOf({
        tags: { v1: opaque('application/x', { about: a.digest }) },
        untagged: [a, b],
      }),
    );
    expect(inUse.has(a.digest)).toBe(true);
    expect(inUse.has(b.digest)).toBe(false);
  });

  it('is in use where only the registry says that it describes something in use', () => {
    const more = { referrers: new Map([[a.digest, [b.digest]]]) };
    expect(observe(surveyOf({ tags: { v1: a }, untagged: [b], more })).inUse.has(b.digest)).toBe(
      true,
    );
    const rest = observe(surveyOf({ untagged: [a, b], more }));
    expect(rest.leaving).toEqual(new Set(digests([a, b])));
    expect(rest.inUse.size).toBe(0);
  });

  it('is not in use where nothing reaches it, even if a rule keeps it for now', () => {
    const lost = image('lost');
    const entry = artifactOf(APP, Buffer.from(''));
    const artifact: Content = { ...a, ...entry };
    const young = image('young', { created: new Date(THEN).toISOString() });
    const survey = surveyOf({
      tags: { v1: a, [digestTag(lost.digest, 'sig')]: cosign('sig', lost) },
      untagged: [b, young, referrer('of what is elsewhere', lost), artifact],
    });
    const { inUse, leaving } = observe(survey);
    expect(inUse).toEqual(new Set([a.digest]));
    expect(leaving).toEqual(new Set([b.digest]));
    expect(survey.plan.keep).toHaveLength(5);
  });

  it('is leaving where the plan deletes it', () => {
    const parent = index([b]);
    const { leaving, inUse } = observe(surveyOf({ tags: { v1: a }, untagged: [parent] }));
    expect(leaving).toEqual(new Set(digests([parent, b])));
    expect(inUse).toEqual(new Set([a.digest]));
  });

  it('is not leaving beside a gap: then nothing is deleted', () => {
    const { leaving, isComplete } = observe(
      surveyOf({ tags: { v1: a }, untagged: [b], more: GAP }),
    );
    expect(leaving.size).toBe(0);
    expect(isComplete).toBe(false);
  });

  it('is handed on as standing or absent, with its body', () => {
    const survey = surveyOf({ tags: { v1: a }, absent: [b] });
    const { standing, absent, bodies } = observe(survey);
    expect(standing).toBe(survey.inventory.manifests);
    expect(absent).toEqual(new Set([b.digest]));
    expect(bodies).toBe(survey.bodies);
  });

  it.each<[string, Estate, boolean]>([
    ['an untagged referrer', { untagged: [sbom] }, true],
    ['an untagged image with a subject', { untagged: [image('c', { subject: a })] }, true],
    ['an untagged index with a subject', { untagged: [index([], { subject: a })] }, true],
    ['a digest tag', { tags: { [digestTag(a.digest, 'sig')]: signature } }, true],
    ['a fallback tag', { tags: { [digestTag(a.digest)]: fallbackIndex([]) } }, true],
    ['a tagged referrer', { tags: { v1: sbom } }, false],
    [
      'a digest tag whose target has another tag, too',
      { tags: { v1: signature, [digestTag(a.digest, 'sig')]: signature } },
      false,
    ],
    [
      'an unknown manifest',
      { untagged: [opaque('application/x', { subject: a.descriptor })] },
      false,
    ],
    ['an index that holds it', { untagged: [index([a])] }, false],
    ['nothing', { tags: { v1: b } }, false],
  ])('is wanted, though absent, by %s: %#', (_, estate, isDescribed) => {
    const { wanted } = observe(surveyOf({ ...estate, absent: [a] }));
    expect(wanted.has(a.digest)).toBe(isDescribed);
  });
});

describe('the observation of a sweep', () => {
  const gone = { deleted: [a.digest], gone: [b.digest] };

  it('has manifests that came into use meanwhile, and none of those that it could not delete', () => {
    const [c, d, e, f] = [image('c'), image('d'), image('e'), image('f')];
    const why = 'a reason';
    const seen = observeSweep(
      surveyOf({ untagged: [a, b, c, d, e, f] }),
      fatesFrom({
        ...gone,
        kept: [{ digest: c.digest, reason: { kind: 'tagged', tags: ['v1'] } }],
        skipped: [{ digest: d.digest, why }],
        restored: [e.digest],
        failed: [{ digest: f.digest, why }],
      }),
    );
    expect([...seen.standing.keys()].sort()).toEqual(digests([c, e]).sort());
    expect([...seen.absent].sort()).toEqual(digests([a, b]).sort());
    const leaving = recordOf(c, { status: 'leaving', condemned: THEN });
    const records = remember(new Map([[c.digest, leaving]]), seen, {
      droppable: NOBODY,
      restates: true,
      now: LATER,
    });
    expect(records.get(c.digest)).toMatchObject({ status: 'unused', condemned: THEN });
  });

  it('has as absent what it deleted or found deleted, and nothing else', () => {
    const seen = observeSweep(surveyOf({ untagged: [a, b, image('c')] }), fatesFrom(gone));
    expect(seen).toEqual({
      standing: new Map(),
      bodies: new Map(),
      inUse: new Set(),
      leaving: new Set(),
      absent: new Set(digests([a, b])),
      wanted: new Set(),
      tags: new Map(),
      isComplete: false,
    });
  });

  it.each<[string, Estate, boolean]>([
    ['a referrer that is still there', { untagged: [a, sbom] }, true],
    ['a referrer that went, too', { untagged: [a, index([], { subject: a })] }, false],
    [
      'a digest tag that is still there',
      { tags: { [digestTag(a.digest, 'sig')]: signature }, untagged: [a] },
      true,
    ],
    [
      'a digest tag whose target went, too',
      { tags: { [digestTag(a.digest, 'sig')]: b }, untagged: [a] },
      false,
    ],
  ])('has the subject as described by %s: %#', (_, estate, isDescribed) => {
    const { digest } = index([], { subject: a });
    const { wanted } = observeSweep(
      surveyOf(estate),
      fatesFrom({ ...gone, deleted: [a.digest, digest] }),
    );
    expect(wanted.has(a.digest)).toBe(isDescribed);
  });
});

describe('the record of a new manifest', () => {
  const first = { firstSeen: LATER, since: LATER, revision: 0 };

  it.each<[string, Observation, Partial<LedgerRecord>]>([
    ['in use', observation({ inUse: [a] }), { status: 'in-use', everInUse: true }],
    ['unused', observation({ unused: [a] }), { status: 'unused', everInUse: false }],
    [
      'about to go',
      observation({ leaving: [a] }),
      { status: 'leaving', everInUse: false, condemned: LATER },
    ],
    [
      'in use, beside a gap',
      observation({ inUse: [a], isComplete: false }),
      { status: 'in-use', everInUse: true },
    ],
    [
      'seen, beside a gap',
      observation({ unused: [a], isComplete: false }),
      { status: 'unused', everInUse: false },
    ],
  ])('says how it was seen: %s', (_, seen, more) => {
    expect(remember(new Map(), seen, { droppable: NOBODY, restates: false, now: LATER })).toEqual(
      recordsOf([a], { ...first, ...more }),
    );
  });

  it('has its type and its bytes, for every kind of manifest', () => {
    const contents = [a, index([a, b]), sbom, opaque('application/x', { about: 'größer' })];
    const seen = observation({ inUse: contents });
    expect(remember(new Map(), seen, { droppable: NOBODY, restates: false, now: LATER })).toEqual(
      recordsOf(contents, first),
    );
  });

  it('is left out when the manifest was fetched and no longer exists', () => {
    const { bodies } = observation({ inUse: [a] });
    const seen = { ...observation({ absent: [a] }), bodies };
    expect(remember(new Map(), seen, { droppable: NOBODY, restates: false, now: LATER }).size).toBe(
      0,
    );
  });

  it('is left out when the manifest is an entry of the ledger', () => {
    const entries = [artifactOf(APP, Buffer.from('1')), artifactOf('app', Buffer.from('2'))];
    const seen = observation({ inUse: [a], unused: entries.map((entry) => ({ ...a, ...entry })) });
    expect([
      ...remember(new Map(), seen, { droppable: NOBODY, restates: false, now: LATER }).keys(),
    ]).toEqual([a.digest]);
    const later = JSON.stringify({
      ...(JSON.parse(entries[0]?.bytes.toString() ?? '') as object),
      artifactType: 'application/vnd.registry-manifest-cleanup.ledger.v2',
    });
    const next = { ...a, bytes: Buffer.from(later) };
    expect(
      remember(new Map(), observation({ unused: [next] }), {
        droppable: NOBODY,
        restates: false,
        now: LATER,
      }).size,
    ).toBe(0);
  });

  it('is left out when the manifest was only named', () => {
    expect(
      remember(new Map(), observation({ absent: [a] }), {
        droppable: NOBODY,
        restates: false,
        now: LATER,
      }).size,
    ).toBe(0);
  });
});

describe('the record of a known manifest', () => {
  const inUse = recordOf(a, { status: 'in-use', revision: 4 });
  const unused = recordOf(a, { status: 'unused', revision: 4, everInUse: false });
  const leaving = recordOf(a, { status: 'leaving', revision: 4, everInUse: false });

  it.each<[string, LedgerRecord, Observation]>([
    ['in use, and still is', inUse, observation({ inUse: [a] })],
    ['unused, and still is', unused, observation({ unused: [a] })],
    ['leaving, and still is', leaving, observation({ leaving: [a] })],
    ['in use, and not looked at', inUse, observation({})],
    ['leaving, and not looked at', leaving, observation({ isComplete: false })],
    [
      'in use, and not reached, beside a gap',
      inUse,
      observation({ unused: [a], isComplete: false }),
    ],
    [
      'unused, and not reached, beside a gap',
      unused,
      observation({ unused: [a], isComplete: false }),
    ],
    ['leaving, and gone, but never dropped', leaving, observation({ absent: [a] })],
  ])('stays the same: %s', (_, record, seen) => {
    expect(after(record, seen)).toEqual(record);
  });

  it('stays the same though the manifest was fetched again', () => {
    const seen = observation({ inUse: [a] });
    expect(seen.bodies.has(a.digest)).toBe(true);
    expect(after(inUse, seen)).toEqual(inUse);
  });

  it.each<[string, LedgerRecord, Observation, Partial<LedgerRecord>]>([
    [
      'in use, then unused',
      inUse,
      observation({ unused: [a] }),
      { status: 'unused', since: LATER, everInUse: true },
    ],
    [
      'in use, then about to go',
      inUse,
      observation({ leaving: [a] }),
      { status: 'leaving', since: LATER, everInUse: true, condemned: LATER },
    ],
    [
      'in use, then gone',
      inUse,
      observation({ absent: [a] }),
      { status: 'leaving', since: LATER, everInUse: true },
    ],
    [
      'in use, then gone, beside a gap',
      inUse,
      observation({ absent: [a], isComplete: false }),
      { status: 'leaving', since: LATER, everInUse: true },
    ],
    [
      'unused, then in use',
      unused,
      observation({ inUse: [a] }),
      { status: 'in-use', since: LATER, everInUse: true },
    ],
    [
      'unused, then in use, beside a gap',
      unused,
      observation({ inUse: [a], isComplete: false }),
      { status: 'in-use', since: LATER, everInUse: true },
    ],
    // It has been out of use all the while.
    [
      'unused, then about to go',
      unused,
      observation({ leaving: [a] }),
      { status: 'leaving', condemned: LATER },
    ],
    ['unused, then gone', unused, observation({ absent: [a] }), { status: 'leaving' }],
    ['leaving, then only unused', leaving, observation({ unused: [a] }), { status: 'unused' }],
    [
      'leaving, then in use',
      leaving,
      observation({ inUse: [a] }),
      { status: 'in-use', since: LATER, everInUse: true },
    ],
  ])('has one change more: %s', (_, record, seen, more) => {
    expect(after(record, seen)).toEqual({ ...record, ...more, revision: 5 });
  });

  it('counts no further than numbers go', () => {
    const last = { ...inUse, revision: Number.MAX_SAFE_INTEGER };
    expect(after(last, observation({ unused: [a] }))?.revision).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe('the last tags of a record', () => {
  const both = recordOf(a, { tags: ['v1', 'v2'] });
  const last = { ...both, lastTags: ['v2'] };
  const tagged = (...tags: readonly string[]) =>
    observe(surveyOf({ tags: Object.fromEntries(tags.map((tag) => [tag, a])) }));

  it('are those that point at its manifest now', () => {
    expect(after(both, tagged('v2'))).toEqual(last);
    expect(after(last, tagged('v1', 'v2'))).toEqual(both);
    expect(after(last, tagged('v3'))).toMatchObject({ tags: ['v1', 'v2', 'v3'], lastTags: ['v3'] });
  });

  it('stay when none points at it any more', () => {
    const unused = observe(surveyOf({ tags: { v2: b }, untagged: [a] }));
    expect(after(last, unused)).toMatchObject({ tags: ['v1', 'v2'], lastTags: ['v2'] });
  });
});

describe('a forgotten record', () => {
  const droppable = new Set([a.digest]);
  const leaving = recordOf(a, { status: 'leaving', revision: 4 });

  it('belongs to a manifest that was leaving before the survey and absent at the survey', () => {
    expect(after(leaving, observation({ absent: [a] }), droppable)).toBeUndefined();
    expect(
      after(leaving, observation({ absent: [a], isComplete: false }), droppable),
    ).toBeUndefined();
  });

  it('belongs to a manifest that a run deleted thirty days ago', () => {
    const days = (count: number) => LATER - count * 24 * 60 * 60 * 1000;
    const gone = (condemned: number) => ({ ...leaving, status: 'deleted' as const, condemned });
    expect(after(gone(days(29)), observation({}))).toEqual(gone(days(29)));
    expect(after(gone(days(29)), observation({ absent: [a] }), droppable)).toEqual(gone(days(29)));
    expect(after(gone(days(30)), observation({}))).toBeUndefined();
    const absent = observation({ absent: [a] });
    expect(after({ ...leaving, condemned: days(30) }, absent, droppable)).toBeUndefined();
    expect(after({ ...leaving, condemned: days(29) }, absent, droppable)).toEqual({
      ...gone(days(29)),
      revision: 5,
    });
  });

  it('takes along that a run ever saw the manifest, when it was deleted and is there again', () => {
    const past = recordOf(a, { status: 'deleted', condemned: THEN, revision: 4, tags: ['v1'] });
    const seen = { status: 'unused', everInUse: false, firstSeen: LATER, since: LATER };
    expect(after(past, observation({ unused: [a], known: [a] }))).toEqual({
      ...past,
      ...seen,
      revision: 5,
    });
  });

  it('never belongs to a manifest that something in use needs: its bytes tell what else is needed', () => {
    const past = recordsOf([a], { status: 'leaving' });
    const list = index([a, b]);
    const ghosts = new Map([[a.digest, parsed(a)]]);
    const seen = observe(surveyOf({ tags: { v1: list }, absent: [a], more: { past, ghosts } }));
    expect(seen.wanted).toEqual(new Set([a.digest]));
    expect(remember(past, seen, { droppable, restates: false, now: LATER }).get(a.digest)).toEqual(
      past.get(a.digest),
    );
  });

  it.each<[string, Observation]>([
    ['is there', observation({ leaving: [a] })],
    ['is there, beside a gap', observation({ unused: [a], isComplete: false })],
    ['was not looked at', observation({})],
  ])('never belongs to a manifest that %s', (_, seen) => {
    expect(after(leaving, seen, droppable)).toBeDefined();
  });

  it('never belongs to a manifest that was not leaving before the survey', () => {
    const seen = observation({ absent: [a] });
    expect(after(leaving, seen, new Set([b.digest]))).toEqual(leaving);
    expect(after(recordOf(a), seen, NOBODY)?.status).toBe('leaving');
  });

  it.each<[string, Estate]>([
    ['a referrer', { untagged: [sbom] }],
    ['a digest tag', { tags: { [digestTag(a.digest, 'sig')]: signature } }],
  ])(
    'never belongs to a manifest that %s describes and that stands: that may go because of it',
    (_, estate) => {
      const past = recordsOf([a], { status: 'leaving' });
      const seen = observe(surveyOf({ ...estate, absent: [a], more: { past } }));
      expect([...seen.leaving]).toHaveLength(1);
      expect(
        remember(past, seen, { droppable: droppable, restates: false, now: LATER }).get(a.digest),
      ).toEqual(past.get(a.digest));

      const fates = fatesFrom({ deleted: [...seen.leaving, a.digest] });
      const end = observeSweep(surveyOf({ ...estate, absent: [a] }), fates);
      expect(remember(past, end, { droppable: droppable, restates: false, now: LATER }).size).toBe(
        0,
      );
    },
  );
});

describe('any survey of any estate', () => {
  const statuses: readonly Status[] = ['in-use', 'unused', 'leaving'];
  const scenes = fc.tuple(builtEstates(10), fc.boolean(), fc.infiniteStream(fc.nat({ max: 3 })));

  it('forgets nothing that stands, changes nothing when it is repeated, and gaps take nothing out of use', () => {
    fc.assert(
      fc.property(scenes, ([built, hasGap, random]) => {
        const whole = inventoryOfBuilt(built);
        const inventory = hasGap ? { ...whole, ...GAP } : whole;
        const plan = makePlan(inventory, policy());
        const bodies = new Map(
          built.contents.map(({ digest, bytes }) => [digest, bytes.toString('utf8')]),
        );
        const seen = observe({ inventory, plan, bodies });
        // Each manifest was remembered in some way, or not at all.
        const past = new Map(
          built.contents.flatMap((content): [Digest, LedgerRecord][] => {
            const status = statuses[Number(random.next().value)];
            return status === undefined ? [] : [[content.digest, recordOf(content, { status })]];
          }),
        );
        const droppable = new Set(
          [...past].filter(([, { status }]) => status === 'leaving').map(([digest]) => digest),
        );
        const records = remember(past, seen, { droppable: droppable, restates: false, now: LATER });

        for (const digest of seen.standing.keys()) {
          const status = records.get(digest)?.status;
          const before = past.get(digest)?.status;
          const isInUse = seen.inUse.has(digest) || (hasGap && before === 'in-use');
          expect([digest, status === 'in-use']).toEqual([digest, isInUse]);
          expect(status).toBeDefined();
        }
        expect(
          isSame(
            remember(records, seen, { droppable: NOBODY, restates: false, now: LATER + 1 }),
            records,
          ),
        ).toBe(true);
      }),
      runs(200),
    );
  });
});
