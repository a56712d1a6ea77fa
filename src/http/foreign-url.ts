/** URLs that a server names. Pure. */

/** @returns the URL without user and password, which no server has to give us; `undefined` when it isn't valid */
export function foreignUrl(text: string, base?: URL): URL | undefined {
  if (!URL.canParse(text, base?.href)) {
    return undefined;
  }
  const url = new URL(text, base);
  url.username = '';
  url.password = '';
  return url;
}
