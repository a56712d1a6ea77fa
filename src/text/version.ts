/**
 * The version of this action, for servers' logs and the report. `npm version` writes this file: a run reads no
 * package.json, because the bundle stands alone.
 */
export const VERSION = '1.0.0';
