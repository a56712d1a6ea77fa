/**
 * The oracle: what must be kept and what must go, after the words of the design and by the plainest means
 * (sets that grow until nothing changes). It shares no code with src/plan and never reads a manifest's
 * bytes: it knows the estate from which they were made.
 */
import { NOW } from '../builders/inventories.js';
import type { RepositoryState } from '../servers/memory/state.js';
import { CREATED, GRACE, type Built, type Id, type Node } from '../builders/random-estate.js';

/** One repository at one moment, in the estate's numbers. */
export interface View {
  readonly present: ReadonlySet<Id>;
  /** tag → number, also where that manifest is missing */
  readonly tags: ReadonlyMap<string, Id>;
  readonly candidates: ReadonlySet<Id>;
  /** epoch milliseconds, of the push, where the registry's list tells it */
  readonly pushedAt?: ReadonlyMap<Id, number>;
  /** epoch milliseconds of the last change, where the registry's list tells it */
  readonly changedAt?: ReadonlyMap<Id, number>;
  /** what the registry lists as a referrer of what, beyond what the bodies say; absent: nothing */
  readonly listed?: readonly Listed[];
}

export type Listed = readonly [of: Id, referrer: Id];

export interface Rules {
  readonly danglingReferrers: 'keep' | 'delete';
  /** false: `grace-period: 0` */
  readonly spareYoung: boolean;
  /** milliseconds; absent: 0 */
  readonly unusedFor?: number;
  readonly referrersApi: boolean;
  /** what earlier runs saw; absent: nothing */
  readonly past?: ReadonlyMap<Id, Seen>;
  /** what `protect` and `protect-files` name */
  readonly isProtected?: (id: Id) => boolean;
  /** what the registry has as a layer as well, and nothing in the repository names */
  readonly isLayer?: (id: Id) => boolean;
  readonly keepUntagged?: number;
  /** what the plan that is carried out says; absent: none is */
  readonly approved?: ReadonlySet<Id>;
}

/** What the ledger remembers of a manifest. Times in epoch milliseconds. */
export interface Seen {
  readonly firstSeen: number;
  /** absent: it was never in use */
  readonly lastUse?: number;
  /** it was to be deleted, or was gone */
  readonly leaving: boolean;
}

export interface Judgement {
  /** what a client can hear of: a registry without a list shows no more */
  readonly seen: ReadonlySet<Id>;
  readonly kept: ReadonlySet<Id>;
  readonly orphans: ReadonlySet<Id>;
  /** of what would go otherwise: all that describes nothing, and is no part of another such manifest */
  readonly heads: ReadonlySet<Id>;
  /** of those, the ones that `keep-untagged` keeps */
  readonly recent: ReadonlySet<Id>;
}

export function viewOf(built: Built, repository: RepositoryState | undefined): View {
  const numbers = (digests: Iterable<string>) =>
    new Set([...digests].flatMap((digest) => built.idOf.get(digest) ?? []));
  return {
    present: numbers(repository?.manifests.keys() ?? []),
    tags: new Map(
      [...(repository?.tags ?? [])].flatMap(([tag, digest]) => {
        const id = built.idOf.get(digest);
        return id === undefined ? [] : [[tag, id] as const];
      }),
    ),
    candidates: numbers(built.candidates),
  };
}

export function judge(built: Built, view: View, rules: Rules): Judgement {
  const node = (id: Id): Node => {
    const found = built.estate.nodes[id];
    if (found === undefined) {
      throw new Error(`no node ${String(id)}`);
    }
    return found;
  };
  /** Whose body we can read: children and subject of others are only text in it. */
  const known = (id: Id) => !['unknown', 'ambiguous'].includes(node(id).form);
  const children = (id: Id) => (known(id) ? node(id).children : []);
  const subject = (id: Id) => (known(id) ? node(id).subject : undefined);
  /** of an artifact: layers that have the bytes of these */
  const layers = (id: Id) => node(id).layers ?? [];
  const everything = built.estate.nodes.map((_, id) => id);
  const referrers = (of: Id) => everything.filter((id) => subject(id) === of);
  /** Nothing describes itself. */
  const listed = (of: Id) =>
    (view.listed ?? []).flatMap(([each, id]) => (each === of && id !== of ? [id] : []));

  const named = (tag: string): { id: Id | undefined; suffix: string } | undefined => {
    const match = /^sha256-([0-9a-f]{64})(|\.sig|\.att|\.sbom)$/.exec(tag);
    return match === null
      ? undefined
      : { id: built.idOf.get(`sha256:${match[1] ?? ''}`), suffix: match[2] ?? '' };
  };

  /** An unknown manifest mentions what stands in its text, and an index its entries of unknown types. */
  const mentions = (id: Id) => [
    ...node(id).mentions,
    ...(known(id) ? [] : [...node(id).children, ...[node(id).subject ?? []].flat()]),
  ];

  // What can be seen: "digest tags' names, children and subjects of every manifest read, and the
  // referrers API where it answers", beside tags, candidates and what is mentioned.
  const names = [...view.tags.keys()].flatMap((tag) => named(tag)?.id ?? []);
  const heard = grow([...view.tags.values(), ...view.candidates, ...names], (id) =>
    !view.present.has(id)
      ? []
      : [
          ...children(id),
          ...[subject(id) ?? []].flat(),
          ...mentions(id),
          // A registry's referrers API goes by the body's `subject`, for every type.
          ...(rules.referrersApi ? everything.filter((each) => node(each).subject === id) : []),
        ],
  );
  const seen = new Set([...heard].filter((id) => view.present.has(id)));

  const isDigestTag = (tag: string, target: Id): boolean => {
    const name = named(tag);
    if (name === undefined || name.id === target) {
      return false;
    }
    if (name.suffix !== '') {
      return true;
    }
    // "only when it points at an index whose entries' subject is the manifest it names (or that has no
    // entries)"; entries that the registry has lost say nothing.
    if (node(target).form !== 'index' || node(target).mentions.length > 0) {
      return false;
    }
    const entries = node(target).children;
    const left = entries.filter((id) => seen.has(id));
    return entries.length === 0 || (left.length > 0 && left.every((id) => subject(id) === name.id));
  };

  const tags = [...view.tags].filter(([, target]) => seen.has(target));
  const digestTags = tags
    .filter(([tag, target]) => isDigestTag(tag, target))
    .map(([tag, target]) => ({ names: named(tag)?.id, target }));
  const isHere = (id: Id | undefined) => id !== undefined && seen.has(id);

  const past = (id: Id | undefined) => (id === undefined ? undefined : rules.past?.get(id));
  /** Made at this time or later; what is held, and of what is described these, was made before. */
  const birth = (id: Id, isPart: (subject: Id) => boolean = () => true): number => {
    if (!seen.has(id)) {
      return -Infinity;
    }
    const of = subject(id);
    const inner = [...children(id), ...(of !== undefined && isPart(of) ? [of] : [])];
    const built = node(id).form === 'image' ? CREATED[node(id).created] : undefined;
    const own = view.pushedAt?.get(id) ?? built;
    return Math.max(own ?? -Infinity, ...inner.map((each) => birth(each, isPart)));
  };
  /** What describes something that was in use once says nothing of a push that is under way. */
  const isOfPush = (of: Id) => past(of)?.lastUse === undefined;
  const isYoung = (id: Id): boolean => {
    const before = past(id);
    if (before === undefined || (before.leaving && before.lastUse === undefined)) {
      return birth(id, isOfPush) > NOW - GRACE;
    }
    return before.lastUse === undefined && before.firstSeen > NOW - GRACE;
  };
  // "Unused is not gone at once": this look is at NOW, and a lately used one goes after another look.
  const wasUsedLately = (id: Id): boolean => {
    const { unusedFor = 0 } = rules;
    const times = [past(id)?.lastUse ?? -Infinity, view.changedAt?.get(id) ?? -Infinity];
    return unusedFor > 0 && times.some((time) => time > NOW - unusedFor);
  };
  const livedHere = (id: Id | undefined) => isHere(id) || past(id) !== undefined;

  const roots = [
    ...tags.filter(([tag, target]) => !isDigestTag(tag, target)).map(([, target]) => target),
    ...[...seen].filter((id) => !known(id)),
    ...[...seen].filter((id) => rules.isProtected?.(id) === true || rules.isLayer?.(id)),
    ...[...seen].filter(wasUsedLately),
    ...(rules.spareYoung ? [...seen].filter(isYoung) : []),
    ...(rules.danglingReferrers === 'keep'
      ? [
          ...[...seen].filter((id) => subject(id) !== undefined && !livedHere(subject(id))),
          ...digestTags.filter((tag) => !livedHere(tag.names)).map(({ target }) => target),
        ]
      : []),
  ];
  const reachedFrom = (start: readonly Id[]) =>
    grow(start, (id) =>
      [
        ...children(id),
        ...[subject(id) ?? []].flat(),
        ...referrers(id),
        ...listed(id),
        ...digestTags.filter((tag) => tag.names === id).map(({ target }) => target),
        ...mentions(id),
        ...layers(id),
      ].filter((to) => seen.has(to)),
    );
  const without = (kept: ReadonlySet<Id>) => new Set([...seen].filter((id) => !kept.has(id)));

  const spare = without(reachedFrom(roots));
  // Once the registry alone has tied a manifest to another, nothing does when that is gone: as if it held it.
  const holds = (id: Id) =>
    known(id) ? [...children(id), ...node(id).mentions, ...layers(id)] : [];
  const entries = (id: Id) => [...holds(id), ...listed(id).filter((each) => subject(each) !== id)];
  /** With what describes it: that goes along, and then nothing tells what it held. */
  const parts = (id: Id) => [
    ...grow([id], (each) =>
      [
        ...entries(each),
        ...referrers(each),
        ...listed(each),
        ...digestTags.filter((tag) => tag.names === each).map(({ target }) => target),
      ].filter((part) => seen.has(part)),
    ),
  ];
  const lastUse = (id: Id) => past(id)?.lastUse ?? birth(id);
  /** The weightiest first: its last use or that of a part that would go, when it was built, how much it holds. */
  const newness = (id: Id): readonly number[] => [
    Math.max(...parts(id).map((part) => (spare.has(part) ? lastUse(part) : -Infinity))),
    Math.max(...parts(id).map((part) => birth(part))),
    parts(id).length,
  ];
  const isNewer = (a: Id, b: Id): boolean => {
    const [left, right] = [newness(a), newness(b)];
    const n = left.findIndex((each, place) => each !== right[place]);
    return n < 0 ? digestAt(built, a) < digestAt(built, b) : (left[n] ?? 0) > (right[n] ?? 0);
  };
  // What describes goes with what it describes, or by itself. What it holds is left then, as if it had stood alone.
  /** As a fallback tag leaves it: it describes the manifest that is the subject of all its entries. */
  const isReplacedList = (id: Id) => {
    const subjects = children(id)
      .filter((each) => seen.has(each))
      .map(subject);
    const isList = node(id).form === 'index' && node(id).mentions.length === 0;
    return isList && subjects[0] !== undefined && new Set(subjects).size === 1;
  };
  const standing = [...spare].filter(
    (id) =>
      subject(id) === undefined &&
      !digestTags.some(({ target }) => target === id) &&
      !isReplacedList(id),
  );
  const tops = standing.filter((id) => !standing.some((other) => holds(other).includes(id)));
  const isPart = (id: Id) => tops.some((other) => parts(other).includes(id) && isNewer(other, id));
  const heads = new Set(tops.filter((id) => !isPart(id)));
  const { keepUntagged = 0, approved } = rules;
  const recent = [...heads].filter(
    (id) =>
      keepUntagged > 0 && [...heads].filter((other) => isNewer(other, id)).length < keepUntagged,
  );
  const left = without(reachedFrom([...roots, ...recent]));
  const unnamed = approved === undefined ? [] : [...left].filter((id) => !approved.has(id));
  const kept = reachedFrom([...roots, ...recent, ...unnamed]);
  return { seen, kept, orphans: without(kept), heads, recent: new Set(recent) };
}

function digestAt({ contents }: Built, id: Id): string {
  return contents[id]?.digest ?? '';
}

/**
 * What of these has to stay as long as they do, as far as the estate itself says it: their children and subjects,
 * at any depth. Only a part of what keeps what alive, and the part that breaks images.
 */
export function neededBy(
  { estate }: Built,
  present: ReadonlySet<Id>,
  ids: readonly Id[],
): ReadonlySet<Id> {
  return grow(ids, (id) => {
    const node = estate.nodes[id];
    const needed =
      node === undefined
        ? []
        : [...node.children, ...[node.subject ?? []].flat(), ...(node.layers ?? [])];
    return needed.filter((each) => present.has(each));
  });
}

function grow(start: readonly Id[], next: (id: Id) => readonly Id[]): ReadonlySet<Id> {
  const set = new Set(start);
  for (let size = -1; size !== set.size;) {
    size = set.size;
    for (const id of [...set]) {
      next(id).forEach((each) => set.add(each));
    }
  }
  return set;
}

/**
 * What has to be gone before a manifest goes: the indexes that hold it (`hard`), and what it describes
 * (`soft`), which only a circle of such wishes may break.
 */
export function mustPrecede(
  built: Built,
  view: View,
  before: Id,
  after: Id,
): 'hard' | 'soft' | undefined {
  const [first, second] = [built.estate.nodes[before], built.estate.nodes[after]];
  if (first === undefined || second === undefined || before === after) {
    return undefined;
  }
  const { children, mentions, layers = [] } = first;
  if (
    layers.includes(after) ||
    (first.form === 'index' && [...children, ...mentions].includes(after))
  ) {
    return 'hard';
  }
  const hex = built.contents[before]?.digest.slice('sha256:'.length) ?? '';
  const describes =
    second.subject === before ||
    view.listed?.some(([of, referrer]) => of === before && referrer === after) === true ||
    ['', '.sig', '.att', '.sbom'].some(
      (suffix) => view.tags.get(`sha256-${hex}${suffix}`) === after,
    );
  return describes ? 'soft' : undefined;
}

/** The indexes that hold it. */
export function parentsOf(built: Built, id: Id): Id[] {
  return built.estate.nodes.flatMap((node, parent) =>
    node.form === 'index' && node.children.includes(id) ? [parent] : [],
  );
}

/** Whether a client could pull this with all its children, at any depth. */
export function isWhole(built: Built, present: ReadonlySet<Id>, id: Id): boolean {
  const node = built.estate.nodes[id];
  return (
    node !== undefined &&
    present.has(id) &&
    (node.form !== 'index' || node.children.every((child) => isWhole(built, present, child)))
  );
}
