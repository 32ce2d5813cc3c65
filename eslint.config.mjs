// Biome formats and lints; ESLint runs only what needs types (unhandled promises) and the import rules of docs/architecture.md.
import tseslint from 'typescript-eslint';

/** Patterns a folder must not import. */
const forbid = (...patterns) => ({
  'no-restricted-imports': ['error', { patterns: patterns.map((group) => ({ group: [group] })) }],
});

/** Only packages/telemetry knows it: where tracing is off it is not loaded. */
const OTEL = '@opentelemetry/*';
const GATEWAY = [
  '@voice-fleet/asr-worker/*',
  '@voice-fleet/llm-tts/*',
  '@voice-fleet/testkit/*',
  OTEL,
];

export default [
  { ignores: ['**/dist/**', '**/node_modules/**', '**/*.mjs', '**/*.js', '.cache/**'] },
  {
    files: ['packages/**/*.ts', 'services/**/*.ts', 'tests/**/*.ts', 'scripts/**/*.ts'],
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname },
    },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      'max-lines': ['error', { max: 350 }],
    },
  },
  { files: ['**/*.spec.ts'], rules: { 'max-lines': ['error', { max: 500 }] } },
  {
    files: ['packages/{protocol,speech}/src/**/*.ts'],
    rules: forbid('@voice-fleet/*', '@nestjs/*', 'ioredis', 'ws', OTEL),
  },
  {
    files: ['packages/{runtime,telemetry}/src/**/*.ts'],
    rules: forbid('@voice-fleet/*', '@nestjs/*', 'ioredis'),
  },
  {
    files: ['packages/{fleet,client,testkit,media,jobs}/src/**/*.ts'],
    rules: forbid(
      '@nestjs/*',
      '@voice-fleet/gateway/*',
      '@voice-fleet/asr-worker/*',
      '@voice-fleet/llm-tts/*',
      OTEL,
    ),
  },
  {
    files: ['services/gateway/src/**/*.ts'],
    ignores: ['**/*.spec.ts'],
    rules: forbid(...GATEWAY),
  },
  {
    files: ['services/asr-worker/src/**/*.ts'],
    ignores: ['**/*.spec.ts'],
    rules: forbid(
      '@voice-fleet/gateway/*',
      '@voice-fleet/llm-tts/*',
      '@voice-fleet/testkit/*',
      OTEL,
    ),
  },
  {
    files: ['services/llm-tts/src/**/*.ts'],
    ignores: ['**/*.spec.ts'],
    rules: forbid(
      '@voice-fleet/gateway/*',
      '@voice-fleet/asr-worker/*',
      '@voice-fleet/testkit/*',
      OTEL,
    ),
  },
  {
    files: ['services/gateway/src/dialects/**/*.ts'],
    ignores: ['**/*.spec.ts'],
    rules: forbid(
      ...GATEWAY,
      'ws',
      'ioredis',
      '@nestjs/*',
      '@voice-fleet/fleet/*',
      '**/session/*',
      '**/routing/*',
      'node:timers*',
    ),
  },
  {
    files: ['services/gateway/src/session/**/*.ts'],
    ignores: ['**/*.spec.ts'],
    rules: forbid(...GATEWAY, 'ws', 'ioredis', '@nestjs/*', '**/dialects/*'),
  },
];
