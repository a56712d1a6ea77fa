/** Words for a thrown value: by name and not by `instanceof`, since an error of another realm is an error too. Pure. */

/** The `code` that Node puts on errors of the system, of TLS and of parsers, or `''`. */
export function codeOf(error: unknown): string {
  return textOf(error, 'code');
}

/** The message. It may quote what anybody has written. */
export function messageOf(error: unknown, otherwise = String(error)): string {
  return textOf(error, 'message') || otherwise;
}

function textOf(error: unknown, property: 'code' | 'message'): string {
  const value: unknown =
    typeof error === 'object' && error !== null ? Reflect.get(error, property) : undefined;
  return typeof value === 'string' ? value : '';
}
