/**
 * Cuts a stream of mixed text into lines and JSON objects, which may stretch over many lines. The
 * brackets and commas of a top-level array are separators, so that its elements stream one by one.
 * Never holds more than one line or one object; where the chunks end never changes the result.
 */

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
const SEPARATORS = ' \t\r,[]\uFEFF';

/** Where something other than separators begins; the length when there is nothing else. */
function startOf(text: string): number {
  let at = 0;
  while (at < text.length && SEPARATORS.includes(text.charAt(at))) {
    at += 1;
  }
  return at;
}

/** An object that is being read, with the beginning of its first line before it. */
interface Open {
  parts: string[];
  length: number;
  /** where in the text the object begins */
  readonly start: number;
  lineFeeds: number;
  values: number;
  depth: number;
  inString: boolean;
  escaped: boolean;
}

class Splitter {
  readonly #visit: (piece: Piece) => void;
  readonly #limits: PieceLimits;
  readonly #shown: number;
  /** number of the line that is being read, or on which the open object begins */
  #line = 1;
  #held = '';
  /** this line is known to begin with no object, or with one that turned out to be none */
  #isText = false;
  /** `reported` when it belongs to an object that is too long, and was shown already */
  #skipping: 'no' | 'line' | 'reported' = 'no';
  #open: Open | undefined;

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
    this.#finishLine(this.#held);
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
          this.#open = {
            parts: [text.slice(0, start)],
            length: start,
            start,
            lineFeeds: 0,
            values: 0,
            depth: 0,
            inString: false,
            escaped: false,
          };
          return at + start - before;
        }
        this.#isText = start < text.length;
      }
      this.#held = text;
      this.#cutHeld();
    }
    if (feed < 0) {
      return end;
    }
    this.#finishLine(this.#held);
    return feed + 1;
  }

  #cutHeld(): void {
    if (this.#held.length > this.#limits.line) {
      this.#held = this.#held.slice(0, this.#shown);
      this.#skipping = 'line';
    }
  }

  #finishLine(text: string): void {
    if (this.#skipping === 'line') {
      this.#visit({ kind: 'too-long', line: this.#line, text });
    } else if (this.#skipping === 'no' && startOf(text) < text.length) {
      this.#visit({
        kind: 'line',
        line: this.#line,
        text: text.endsWith('\r') ? text.slice(0, -1) : text,
      });
    }
    this.#held = '';
    this.#isText = false;
    this.#skipping = 'no';
    this.#line += 1;
  }

  /** Reads to the object's end, or to where it turns out to be none; returns where to go on. */
  #scan(open: Open, chunk: string, from: number): number {
    let at = from;
    for (; at < chunk.length; at += 1) {
      const char = chunk.charAt(at);
      if (open.inString) {
        if (char === '\n') {
          break;
        }
        open.inString = open.escaped || char !== '"';
        open.escaped = !open.escaped && char === '\\';
      } else if (char === '{' || char === '[') {
        open.depth += 1;
        open.values += 1;
      } else if (char === '"') {
        open.inString = true;
      } else if (char === ',') {
        open.values += 1;
      } else if (char === '\n') {
        open.lineFeeds += 1;
      } else if (char === '}' || char === ']') {
        open.depth -= 1;
        if (open.depth === 0) {
          this.#keep(open, chunk.slice(from, at + 1));
          this.#close(open);
          return at + 1;
        }
      } else if (!PLAIN.has(char)) {
        break;
      }
    }
    this.#keep(open, chunk.slice(from, at));
    if (at < chunk.length) {
      this.#giveUp(open);
    }
    return at;
  }

  #keep(open: Open, text: string): void {
    open.parts.push(text);
    open.length += text.length;
    if (this.#isTooLong(open) && open.parts.length > 1) {
      open.parts = [open.parts.join('').slice(0, open.start + this.#shown)];
    }
  }

  #isTooLong(open: Open): boolean {
    return open.length - open.start > this.#limits.json;
  }

  #close(open: Open): void {
    if (this.#isTooLong(open) || open.values > this.#limits.values) {
      this.#dropTooLong(open);
      return;
    }
    const source = open.parts.join('').slice(open.start);
    let value: unknown;
    try {
      value = JSON.parse(source);
    } catch {
      this.#giveUp(open);
      return;
    }
    if (typeof value === 'object' && value !== null) {
      this.#visit({ kind: 'json', line: this.#line, value, text: source.slice(0, this.#shown) });
    }
    this.#open = undefined;
    this.#line += open.lineFeeds;
  }

  /** Hands out as lines what was taken for an object. The last of them may go on. */
  #giveUp(open: Open): void {
    if (this.#isTooLong(open)) {
      this.#dropTooLong(open);
      this.#skipping = 'reported';
      return;
    }
    this.#open = undefined;
    const text = open.parts.join('');
    let begin = 0;
    for (let feed = text.indexOf('\n'); feed >= 0; feed = text.indexOf('\n', begin)) {
      this.#held = text.slice(begin, feed);
      this.#cutHeld();
      this.#finishLine(this.#held);
      begin = feed + 1;
    }
    this.#held = text.slice(begin);
    this.#isText = true;
    this.#cutHeld();
  }

  #dropTooLong(open: Open): void {
    this.#open = undefined;
    const text = open.parts.join('').slice(open.start, open.start + this.#shown);
    this.#visit({ kind: 'too-long', line: this.#line, text });
    this.#line += open.lineFeeds;
  }
}
