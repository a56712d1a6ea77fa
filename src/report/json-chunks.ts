/**
 * JSON text in chunks, from values whose arrays may be made one entry at a time. One string of a whole
 * report could pass the length that JavaScript allows (about 512 MB).
 */
/** A field that is undefined is left out, as JSON.stringify does. */
export type Json =
  null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/** As `Json`, but an array may be any iterable, which is read once for each text. */
export type LazyJson = Json | Iterable<LazyJson> | { readonly [key: string]: LazyJson | undefined };

function isLazy(value: LazyJson): value is Iterable<LazyJson> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && Symbol.iterator in value
  );
}

function isRecord(value: LazyJson): value is Readonly<Record<string, LazyJson | undefined>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isLazy(value);
}

/** One entry at a time, each made when it is written. */
export function lazily<T>(values: readonly T[], entry: (value: T) => LazyJson): Iterable<LazyJson> {
  return {
    *[Symbol.iterator]() {
      for (const value of values) {
        yield entry(value);
      }
    },
  };
}

/** Whether there is an iterable at any depth of records; arrays hold finished values only. */
function hasLazy(value: LazyJson | undefined): boolean {
  if (value === undefined) {
    return false;
  }
  return isLazy(value) || (isRecord(value) && Object.values(value).some(hasLazy));
}

/**
 * One line per entry of a lazy list, so that the file can be read with a pager or grep.
 *
 * @param redact takes secrets out of every string value; keys are our own
 */
export function* jsonChunks(value: LazyJson, redact: (text: string) => string): Generator<string> {
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
