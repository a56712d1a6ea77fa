/**
 * JSON from elsewhere, parsed within limits. A few bytes of it can become a hundred times as much memory, so
 * what it holds is counted in the bytes first, which is cheap.
 */
import * as v from 'valibot';

/** It is JSON by its looks, but holds more than anything real does. The message goes behind "its body …". */
export class JsonLimitError extends Error {
  override name = 'JsonLimitError';
}

/** No tool nests deeper; Go itself refuses what is nested ten times as deep. */
const MOST_NESTED = 1000;

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
/** With this bit, the bytes of `[` and `]` are those of `{` and `}`; no other byte becomes one of those. */
const CURLY = 0x20;
const OPEN_LIST = 0x5b;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/** @returns where the string ends that has begun before `from`: the index of its quote, or the length */
function endOfString(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at < bytes.length && bytes[at] !== QUOTE) {
    at += bytes[at] === BACKSLASH ? 2 : 1;
  }
  return at;
}

/**
 * Counts lists, objects and commas, which is about the number of values.
 *
 * @throws JsonLimitError when there are more than `most`, or they are nested too deeply
 */
export function checkJson(bytes: Uint8Array, most: number): void {
  let values = 0;
  let depth = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    const isOpen = (byte | CURLY) === OPEN;
    if (byte === QUOTE) {
      at = endOfString(bytes, at + 1);
    } else if (byte === COMMA || isOpen) {
      values += 1;
      depth += isOpen ? 1 : 0;
      if (values > most) {
        throw new JsonLimitError(`holds more than ${most.toLocaleString('en-US')} values`);
      }
      if (depth > MOST_NESTED) {
        throw new JsonLimitError(
          `is nested deeper than ${MOST_NESTED.toLocaleString('en-US')} levels`,
        );
      }
    } else if ((byte | CURLY) === CLOSE) {
      depth -= 1;
    }
  }
}

/** A part of some bytes: from the first to the one behind the last. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/**
 * Where the objects of a list stand that an object has under this key.
 *
 * @param bytes valid JSON
 * @returns none if the object has no such list
 */
export function objectsIn(bytes: Uint8Array, key: string): Span[] {
  const spans: Span[] = [];
  let depth = 0;
  let name = '';
  let isInList = false;
  let from = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) {
      const end = endOfString(bytes, at + 1);
      // At this depth, the string before a list is the key of that list.
      name = depth === 1 ? new TextDecoder().decode(bytes.subarray(at + 1, end)) : name;
      at = end;
    } else if ((byte | CURLY) === OPEN) {
      depth += 1;
      isInList = depth === 2 ? byte === OPEN_LIST && name === key : isInList;
      from = depth === 3 ? at : from;
    } else if ((byte | CURLY) === CLOSE) {
      if (isInList && depth === 2) {
        return spans;
      }
      if (isInList && depth === 3) {
        spans.push({ from, to: at + 1 });
      }
      depth -= 1;
    }
  }
  return spans;
}

/**
 * @param most how many values it may hold
 * @throws SyntaxError when the bytes are not JSON, JsonLimitError when they are more than they may be
 */
export function parseJson(bytes: Uint8Array, most: number): unknown {
  checkJson(bytes, most);
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** A short text, parsed: `undefined` when it isn't valid JSON. */
export function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * The value in the form of the schema; `undefined` when it is not. Stops at the first problem: a list of a million
 * that are all wrong would otherwise become a million reports of it.
 */
export function inForm<T>(schema: v.GenericSchema<unknown, T>, value: unknown): T | undefined {
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  return parsed.success ? parsed.output : undefined;
}

/** A field that is only shown or counted is dropped when it is malformed: it must not make the rest unreadable. */
export function lenient<T>(
  schema: v.GenericSchema<unknown, T>,
): v.SchemaWithFallback<v.OptionalSchema<v.GenericSchema<unknown, T>, undefined>, undefined> {
  return v.fallback(v.optional(schema), undefined);
}
