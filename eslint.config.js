/**
 * What the linter holds beside the usual: the import rules of the design. Each is a rule of its own,
 * `boundary-…/imports`, because a second setting of one rule for the same file would silently replace the first.
 * The lint script takes warnings as errors.
 */
import js from '@eslint/js';
import { createNodeResolver, flatConfigs } from 'eslint-plugin-import-x';
import jest from 'eslint-plugin-jest';
import { defineConfig, globalIgnores } from 'eslint/config';
import { builtinModules } from 'node:module';
import tseslint from 'typescript-eslint';

const anyNodeModule = `^(node:|(${builtinModules.join('|')})(/|$))`;

/** A folder of src imports only from those to its left. */
const LAYERS = ['oci', 'text', 'http', 'registry', 'plan', 'memory', 'run', 'report', 'action'];

/** The stages that decide, and the words that report it. The same input must give the same output, always. */
const pureFiles = ['src/plan/**', 'src/report/**'];
const pure = 'graph, plan and report are pure: no I/O, no clock, no randomness; pass it in.';

const dynamicImport = {
  selector: 'ImportExpression',
  message:
    'Import statically: the bundle is one file, and the import rules see static imports only.',
};

/**
 * One import rule: in `files` but not in `except`, the modules that match `regex` may not be imported.
 * `types` lets `import type` through.
 */
function boundary({ name, files = ['src/**'], except = [], regex, types = false, message }) {
  const patterns = [{ regex, message, allowTypeImports: types }];
  return {
    files,
    ignores: except,
    plugins: {
      [`boundary-${name}`]: { rules: { imports: tseslint.plugin.rules['no-restricted-imports'] } },
    },
    rules: { [`boundary-${name}/imports`]: ['error', { patterns }] },
  };
}

export default defineConfig(
  globalIgnores(['dist/', 'coverage/', '.cache/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error', reportUnusedInlineConfigs: 'error' } },

  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  flatConfigs.typescript,
  {
    languageOptions: { parserOptions: { projectService: true } },
    plugins: flatConfigs.recommended.plugins,
    settings: {
      'import-x/resolver-next': [
        createNodeResolver({
          extensions: ['.ts', '.js'],
          extensionAlias: { '.js': ['.ts', '.js'] },
        }),
      ],
    },
    rules: {
      eqeqeq: 'error',
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      // It also forbids `return mistake(…)`, where the function says that it returns undefined.
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      // As the compiler has it: a name that starts with _ is there for its place.
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_' },
      ],
      // An input or a variable of the environment that is not set is an empty string: `||` is right for those.
      '@typescript-eslint/prefer-nullish-coalescing': [
        'error',
        { ignorePrimitives: { string: true } },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },

  {
    files: ['src/**'],
    rules: {
      'no-console': 'error',
      'max-lines': ['warn', { max: 300, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 80, skipBlankLines: true, skipComments: true }],
      'no-restricted-syntax': ['error', dynamicImport],
    },
  },
  {
    files: pureFiles,
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: pure },
        { object: 'Math', property: 'random', message: pure },
      ],
      'no-restricted-globals': [
        'error',
        ...[
          'process',
          'performance',
          'crypto',
          'fetch',
          'setTimeout',
          'setInterval',
          'setImmediate',
        ].map((name) => ({ name, message: pure })),
      ],
      'no-restricted-syntax': [
        'error',
        dynamicImport,
        { selector: 'NewExpression[callee.name="Date"][arguments.length=0]', message: pure },
        { selector: 'CallExpression[callee.name="Date"]', message: pure },
      ],
    },
  },

  boundary({
    name: 'actions-core',
    except: ['src/action/**', 'src/main.ts', 'src/index.ts'],
    regex: '^@actions/core(/|$)',
    message: '@actions/core belongs to the edge: src/action, src/main.ts and src/index.ts only.',
  }),
  boundary({
    name: 'actions-http-client',
    except: ['src/http/**'],
    regex: '^@actions/http-client(/|$)',
    message:
      '@actions/http-client belongs to the transport, src/http: all else sends through a Send.',
  }),
  boundary({
    name: 'actions-github',
    except: ['src/action/**', 'src/registry/families/ghcr/**'],
    regex: '^@actions/github(/|$)',
    message:
      '@actions/github belongs to src/action, where the context of the run is read, and to GHCR, for its octokit.',
  }),
  boundary({
    name: 'pure-no-io',
    files: pureFiles,
    regex: anyNodeModule,
    message: pure,
  }),
  boundary({
    name: 'pure-no-edge',
    files: pureFiles,
    regex: '^(\\.\\.?/)+(http|registry)/',
    types: true,
    message: 'plan and report take values: from src/http and src/registry only types.',
  }),
  {
    files: ['src/**'],
    rules: {
      'import-x/no-restricted-paths': [
        'error',
        {
          zones: LAYERS.map((layer, n) => ({
            target: `./src/${layer}`,
            from: [
              ...LAYERS.slice(n + 1).map((right) => `./src/${right}`),
              './src/main.ts',
              './src/index.ts',
            ],
            message: `src/${layer} imports only from: ${LAYERS.slice(0, n).join(', ') || 'nothing'}.`,
          })),
        },
      ],
    },
  },

  {
    files: ['__tests__/**'],
    ...jest.configs['flat/recommended'],
  },
  {
    files: ['__tests__/**'],
    rules: {
      'jest/no-focused-tests': 'error',
      'jest/no-disabled-tests': 'error',
      // Properties are asserted by fast-check; functions called expect… hold assertions that tests share.
      'jest/expect-expect': [
        'error',
        { assertFunctionNames: ['expect*', 'fc.assert', '**.expect*'] },
      ],
      // Does not take `(there ? it : it.skip)('needs IPv6', …)` for the test that it is.
      'jest/no-standalone-expect': 'off',
      // The one way to unset a variable of the environment.
      '@typescript-eslint/no-dynamic-delete': 'off',
      // Doubles take the async shape of what they stand for.
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    files: ['**/*.js'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: { console: 'readonly', process: 'readonly' } },
    rules: { '@typescript-eslint/explicit-module-boundary-types': 'off' },
  },
);
