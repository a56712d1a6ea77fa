/**
 * JSON text in chunks, from values whose arrays may be made one entry at a time. One string of a whole
 * report could pass the length that JavaScript allows (about 512 MB).
 */

function isRecord(value: unknown): value is Readonly<Record<PropertyKey, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isLazy(value: unknown): value is Iterable<unknown> {
  return isRecord(value) && Symbol.iterator in value;
}

/** One entry at a time, each made when it is written: for one text only. */
export function* lazily<T>(values: Iterable<T>, entry: (value: T) => unknown): Generator {
  for (const value of values) {
    yield entry(value);
  }
}

/** Whether there is an iterable at any depth of records; arrays hold finished values only. */
function hasLazy(value: unknown): boolean {
  return isLazy(value) || (isRecord(value) && Object.values(value).some(hasLazy));
}

/**
 * One line per entry of a lazy list, so that the file can be read with a pager or grep. All else is as
 * `JSON.stringify` writes it: a field that is undefined is left out.
 *
 * @param value what JSON can say, and iterables that aren't arrays, each read once
 * @param redact takes secrets out of every string value; keys are our own
 */
export function* jsonChunks(value: unknown, redact: (text: string) => string): Generator<string> {
  if (isLazy(value)) {
    let separator = '[\n';
    for (const entry of value) {
      yield separator;
      yield* jsonChunks(entry, redact);
      separator = ',\n';
    }
    yield separator === '[\n' ? '[]' : '\n]';
  } else if (isRecord(value) && hasLazy(value)) {
    let separator = '{';
    for (const [key, inner] of Object.entries(value)) {
      if (inner === undefined) {
        continue;
      }
      yield `${separator}${JSON.stringify(key)}:`;
      yield* jsonChunks(inner, redact);
      separator = ',\n';
    }
    yield '}';
  } else {
    // String by string: in the finished text a secret such as `true` would break the document.
    yield JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === 'string' ? redact(inner) : inner,
    );
  }
}
