/**
 * Cuts a stream of mixed text into lines and JSON objects, which may stretch over many lines. The
 * brackets and commas of a top-level array are separators, so that its elements stream one by one.
 * Never holds more than one line or one object; where the chunks end never changes the result.
 */
import { tryJson } from '../../oci/json.js';

export type Piece =
  /** neither blank nor longer than a line may be; without its end */
  | { readonly kind: 'line'; readonly line: number; readonly text: string }
  /** `text` is how it begins, to show to people */
  | { readonly kind: 'json'; readonly line: number; readonly value: object; readonly text: string }
  | { readonly kind: 'too-long'; readonly line: number; readonly text: string };

export interface PieceLimits {
  /** in UTF-16 code units */
  readonly line: number;
  readonly json: number;
  /** of an object's brackets and commas: a megabyte of `{},` needs twenty of memory */
  readonly values: number;
}

const MIB = 1024 * 1024;
const LIMITS: PieceLimits = { line: MIB, json: 32 * MIB, values: 2_000_000 };

/** Length of what is shown of a JSON object or of a line that is too long. */
const SHOWN = 200;

/**
 * Calls `visit` with each piece, in order. (A callback, because awaiting each line of a gigabyte would
 * cost more than reading it.)
 */
export async function split(
  chunks: AsyncIterable<string> | Iterable<string>,
  visit: (piece: Piece) => void,
  limits: PieceLimits = LIMITS,
): Promise<void> {
  const splitter = new Splitter(visit, limits);
  for await (const chunk of chunks) {
    splitter.push(chunk);
  }
  splitter.end();
}

/** What JSON has outside of strings, brackets and commas: any other character shows that the text isn't JSON. */
const PLAIN = new Set(' \t\r:0123456789+-.eEtrufalsn');
const NO_SEPARATOR = /[^ \t\r,[\]\uFEFF]/;

/** Where something other than separators begins; the length when there is nothing else. */
function startOf(text: string): number {
  const at = text.search(NO_SEPARATOR);
  return at < 0 ? text.length : at;
}

/** An object that is being read, with the beginning of its first line before it. */
class OpenObject {
  text: string;
  /** also when the text is cut */
  length: number;
  /** where in the text the object begins */
  readonly start: number;
  lineFeeds = 0;
  values = 0;
  depth = 0;
  #isInString = false;
  #isEscaped = false;

  constructor(before: string) {
    this.text = before;
    this.length = before.length;
    this.start = before.length;
  }

  /** @returns where the object ends in the chunk (`depth` is 0), or isn't valid JSON; the length when it goes on */
  scan(chunk: string, from: number): number {
    for (let at = from; at < chunk.length; at += 1) {
      const char = chunk.charAt(at);
      if (this.#isInString) {
        if (char === '\n') {
          return at;
        }
        this.#isInString = this.#isEscaped || char !== '"';
        this.#isEscaped = !this.#isEscaped && char === '\\';
      } else if (char === '{' || char === '[') {
        this.depth += 1;
        this.values += 1;
      } else if (char === '"') {
        this.#isInString = true;
      } else if (char === ',') {
        this.values += 1;
      } else if (char === '\n') {
        this.lineFeeds += 1;
      } else if (char === '}' || char === ']') {
        this.depth -= 1;
        if (this.depth === 0) {
          return at + 1;
        }
      } else if (!PLAIN.has(char)) {
        return at;
      }
    }
    return chunk.length;
  }
}

class Splitter {
  readonly #visit: (piece: Piece) => void;
  readonly #limits: PieceLimits;
  readonly #shown: number;
  /** number of the line that is being read, or on which the open object begins */
  #line = 1;
  #held = '';
  /** this line is known to begin with no object, or with what turned out to be none */
  #isText = false;
  /** `reported` when it belongs to an object that is too long, and was shown already */
  #skipping: 'no' | 'line' | 'reported' = 'no';
  #open: OpenObject | undefined;

  constructor(visit: (piece: Piece) => void, limits: PieceLimits) {
    this.#visit = visit;
    this.#limits = limits;
    this.#shown = Math.min(SHOWN, limits.line, limits.json);
  }

  push(chunk: string): void {
    let at = 0;
    while (at < chunk.length) {
      at = this.#open === undefined ? this.#readLine(chunk, at) : this.#scan(this.#open, chunk, at);
    }
  }

  end(): void {
    if (this.#open !== undefined) {
      this.#giveUp(this.#open);
    }
    this.#finishLine();
  }

  /** Reads to the end of the line or the beginning of an object; returns where to go on. */
  #readLine(chunk: string, at: number): number {
    const feed = chunk.indexOf('\n', at);
    const end = feed < 0 ? chunk.length : feed;
    if (this.#skipping === 'no') {
      const text = this.#held + chunk.slice(at, end);
      if (!this.#isText) {
        const start = startOf(text);
        if (text.charAt(start) === '{' && start <= this.#limits.line) {
          const before = this.#held.length;
          this.#held = '';
          this.#open = new OpenObject(text.slice(0, start));
          return at + start - before;
        }
        this.#isText = start < text.length;
      }
      const isTooLong = text.length > this.#limits.line;
      this.#held = isTooLong ? text.slice(0, this.#shown) : text;
      this.#skipping = isTooLong ? 'line' : 'no';
    }
    if (feed < 0) {
      return end;
    }
    this.#finishLine();
    return feed + 1;
  }

  #finishLine(): void {
    const [line, text] = [this.#line, this.#held];
    if (this.#skipping === 'line') {
      this.#visit({ kind: 'too-long', line, text });
    } else if (this.#skipping === 'no' && startOf(text) < text.length) {
      this.#visit({ kind: 'line', line, text: text.endsWith('\r') ? text.slice(0, -1) : text });
    }
    this.#held = '';
    this.#isText = false;
    this.#skipping = 'no';
    this.#line += 1;
  }

  /** Reads to the object's end, or to where it turns out to be none; returns where to go on. */
  #scan(open: OpenObject, chunk: string, from: number): number {
    const at = open.scan(chunk, from);
    open.text += chunk.slice(from, at);
    open.length += at - from;
    if (this.#isTooLong(open)) {
      open.text = open.text.slice(0, open.start + this.#shown);
    }
    if (open.depth === 0) {
      this.#close(open);
    } else if (at < chunk.length) {
      this.#giveUp(open);
    }
    return at;
  }

  #isTooLong(open: OpenObject): boolean {
    return open.length - open.start > this.#limits.json;
  }

  #close(open: OpenObject): void {
    if (this.#isTooLong(open) || open.values > this.#limits.values) {
      this.#dropTooLong(open);
      return;
    }
    const source = open.text.slice(open.start);
    const value = tryJson(source) as object | undefined;
    if (value === undefined) {
      this.#giveUp(open);
      return;
    }
    this.#visit({ kind: 'json', line: this.#line, value, text: source.slice(0, this.#shown) });
    this.#open = undefined;
    this.#line += open.lineFeeds;
  }

  /** Hands out as lines what was taken for an object. The last of them may go on. */
  #giveUp(open: OpenObject): void {
    if (this.#isTooLong(open)) {
      this.#dropTooLong(open);
      this.#skipping = 'reported';
      return;
    }
    this.#open = undefined;
    this.#isText = true;
    for (let at = 0; at < open.text.length; this.#isText = true) {
      at = this.#readLine(open.text, at);
    }
  }

  #dropTooLong(open: OpenObject): void {
    this.#open = undefined;
    const text = open.text.slice(open.start, open.start + this.#shown);
    this.#visit({ kind: 'too-long', line: this.#line, text });
    this.#line += open.lineFeeds;
  }
}
