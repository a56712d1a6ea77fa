/**
 * Requests and answers, held against GitHub's own description of its REST API (`@octokit/openapi`). What it leaves
 * out, and what is documented or reported elsewhere, is named here and nowhere else.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { Ajv, type ValidateFunction } from 'ajv';
import formats from 'ajv-formats';

import type { Answer } from '../memory/answer.js';
import type { RestRoute } from './routes.js';

/** github/rest-api-description#1651: these work for users' packages as they do for organizations'. */
const UNDESCRIBED_PARAMETERS: Readonly<Record<string, string>> = {
  '/users/{username}/packages/{package_type}/{package_name}/versions':
    '/orgs/{org}/packages/{package_type}/{package_name}/versions',
};

/**
 * Errors that any endpoint may answer with, whether it describes them or not: bad credentials, missing rights and
 * limits (docs.github.com, "Troubleshooting the REST API"), 400 on a DELETE (kairos#4723, positron#15764), and 500.
 */
const UNDESCRIBED_ERRORS: readonly number[] = [400, 401, 403, 404, 429, 500];

const PACKAGE_PATHS =
  /^\/(?:user|users\/\{username\}|rate_limit|(?:orgs\/\{org\}|users\/\{username\}|user)\/packages(?:\/.*)?)$/;

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
}

interface Described {
  readonly parameters?: readonly (Parameter | { readonly $ref: string })[];
  readonly responses: Readonly<Record<string, unknown>>;
}

interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export interface Validator {
  /** What is wrong with a request for this route. */
  request(route: RestRoute, query: URLSearchParams, body: Buffer): string[];
  /** What is wrong with the answer to it. */
  answer(route: RestRoute, answer: Answer): string[];
}

const ID = 'https://api.github.com/description';

let validator: Validator | undefined;

/** Reads the description once. */
export function openApiValidator(): Validator {
  validator ??= validatorOf(readDescription());
  return validator;
}

/** Thirteen megabytes, of which only what packages need is kept. */
function readDescription(): Description {
  const path = createRequire(import.meta.url).resolve('@octokit/openapi');
  const file = path.replace(/index\.js$/, 'generated/api.github.com.json');
  const whole = JSON.parse(readFileSync(file, 'utf8')) as Description;
  const paths = Object.fromEntries(
    Object.entries(whole.paths).filter(([path]) => PACKAGE_PATHS.test(path)),
  );
  const components: Record<string, Record<string, unknown>> = {};
  const seek = (value: unknown): void => {
    JSON.stringify(value, (key, inner: unknown) => {
      const [, , kind = '', name = ''] =
        key === '$ref' && typeof inner === 'string' ? inner.split('/') : [];
      const found = whole.components[kind]?.[name];
      // Examples are no part of it.
      if (found !== undefined && kind !== 'examples' && components[kind]?.[name] === undefined) {
        components[kind] = { ...components[kind], [name]: found };
        seek(found);
      }
      return key === 'examples' ? undefined : inner;
    });
  };
  seek(paths);
  return withoutNullable({ paths, components }) as Description;
}

/** OpenAPI 3.0's `nullable` in the words of JSON Schema. */
function withoutNullable(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(withoutNullable);
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  const { nullable, examples: _examples, ...rest } = value as Record<string, unknown>;
  const plain = Object.fromEntries(
    Object.entries(rest).map(([key, inner]) => [key, withoutNullable(inner)]),
  );
  return nullable === true ? { anyOf: [plain, { type: 'null' }] } : plain;
}

function validatorOf(description: Description): Validator {
  const ajv = new Ajv({ strict: false, allErrors: true, coerceTypes: false });
  formats.default(ajv);
  for (const unchecked of ['repo.nwo', 'timestamp', 'uri-template']) {
    ajv.addFormat(unchecked, true);
  }
  ajv.addSchema(description, ID);
  const compiled = new Map<string, ValidateFunction>();

  /** @param pointer from the root of the description */
  function check(pointer: readonly string[], value: unknown, what: string): string[] {
    const path = pointer.map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1'));
    const $ref = `${ID}#/${path.map(encodeURIComponent).join('/')}`;
    let validate = compiled.get($ref);
    if (validate === undefined) {
      validate = ajv.compile({ $ref });
      compiled.set($ref, validate);
    }
    return validate(value)
      ? []
      : (validate.errors ?? []).map(
          ({ instancePath, message = '' }) => `${what}${instancePath} ${message}`,
        );
  }

  function resolved(pointer: readonly string[]): { pointer: readonly string[]; value: unknown } {
    const value = pointer.reduce<unknown>(
      (from, part) => (from as Record<string, unknown> | undefined)?.[part],
      description,
    );
    const $ref = (value as { $ref?: string } | undefined)?.$ref;
    return $ref === undefined ? { pointer, value } : resolved($ref.slice(2).split('/'));
  }

  function parametersOf(template: string, method: string): Map<string, readonly string[]> {
    const own = ['paths', template, method, 'parameters'];
    const list = description.paths[template]?.[method]?.parameters ?? [];
    const found = list.map((_, n) => resolved([...own, String(n)]));
    const more = UNDESCRIBED_PARAMETERS[template];
    return new Map([
      ...(more === undefined ? [] : parametersOf(more, method)),
      ...found.map(({ pointer, value }): [string, readonly string[]] => {
        const parameter = value as Parameter;
        return [`${parameter.in} ${parameter.name}`, [...pointer, 'schema']];
      }),
    ]);
  }

  function one(parameters: Map<string, readonly string[]>, key: string, text: string): string[] {
    const pointer = parameters.get(key);
    if (pointer === undefined) {
      return [`${key} isn't described`];
    }
    const { type } = resolved(pointer).value as { type?: string };
    return check(pointer, type === 'integer' && /^\d+$/.test(text) ? Number(text) : text, key);
  }

  return {
    request: ({ method, template, parameters }, query, body) => {
      const name = method.toLowerCase();
      const described = description.paths[template]?.[name];
      if (described === undefined) {
        return [`${method} ${template} isn't described`];
      }
      const known = parametersOf(template, name);
      const inPath = Object.entries(parameters).filter(([key]) => key !== 'organization_id');
      const missing = (described.parameters ?? [])
        .map((_, n) => resolved(['paths', template, name, 'parameters', String(n)]).value)
        .filter((each): each is Parameter => (each as Parameter).in === 'query')
        .filter((each) => each.required === true && !query.has(each.name));
      return [
        ...inPath.flatMap(([key, text]) => one(known, `path ${key}`, text)),
        ...[...query].flatMap(([key, text]) => one(known, `query ${key}`, text)),
        ...missing.map((each) => `query ${each.name} is missing`),
        ...(body.length > 0 ? ['a body is sent, and none is described'] : []),
      ];
    },
    answer: ({ method, template }, { status, body }) => {
      const base = ['paths', template, method.toLowerCase(), 'responses', String(status)];
      const { pointer, value } = resolved(base);
      const isDescribed = value !== undefined;
      if (!isDescribed && !UNDESCRIBED_ERRORS.includes(status)) {
        return [`status ${String(status)} isn't described`];
      }
      const content = (value as { content?: object } | undefined)?.content;
      if (status < 400 && content === undefined) {
        return body.length === 0 ? [] : ['a body is sent, and none is described'];
      }
      let parsed: unknown;
      try {
        parsed = JSON.parse(body.toString('utf8'));
      } catch {
        return ["the body isn't valid JSON"];
      }
      return content === undefined
        ? check(['components', 'schemas', 'basic-error'], parsed, 'answer')
        : check([...pointer, 'content', 'application/json', 'schema'], parsed, 'answer');
    },
  };
}
