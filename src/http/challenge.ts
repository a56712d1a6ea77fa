/**
 * Reads WWW-Authenticate (RFC 9110 sec. 11.6.1): a comma-separated list of challenges, each with
 * parameters that are separated by commas too. What can't be read is skipped; nothing here throws.
 */
import { TOKEN, createCursor } from './cursor.js';

export interface Challenge {
  /** in lower case */
  readonly scheme: string;
  /** names in lower case; of a repeated name the first value counts */
  readonly params: ReadonlyMap<string, string>;
}

const SEPARATORS = /[\s,]*/y;
const EQUALS = /\s*=\s*/y;
/** A token, or another text that servers send without quotes, such as a realm's URL. */
const BARE = /[^\s,"]+/y;
/**
 * Stands in place of parameters in some schemes, such as Negotiate, and tells nothing here. Followed by the end or a
 * comma, or it is a parameter's name (sec. 11.2).
 */
const TOKEN68 = /[ \t]+[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;
/** A quotation that never ends reaches to the end of the header. */
const JUNK = /"(?:[^"\\]|\\[^])*"?|[^,\s]/y;

/** @param header the header's value, or its values where it came several times */
export function parseChallenges(header: string | readonly string[] | undefined): Challenge[] {
  const values = typeof header === 'string' ? [header] : (header ?? []);
  return values.flatMap(parseValue);
}

function parseValue(text: string): Challenge[] {
  const challenges: { scheme: string; params: Map<string, string> }[] = [];
  const { take, value, next } = createCursor(text);
  for (take(SEPARATORS); next() !== undefined; take(SEPARATORS)) {
    const word = take(TOKEN)?.[0].toLowerCase();
    if (word === undefined) {
      take(JUNK);
    } else if (take(EQUALS) !== undefined) {
      const found = value(BARE);
      const params = challenges.at(-1)?.params;
      if (found !== undefined && params?.has(word) === false) {
        params.set(word, found);
      }
    } else {
      take(TOKEN68);
      challenges.push({ scheme: word, params: new Map() });
    }
  }
  return challenges;
}
