/** Specs that judge how long faults are felt, or hear and play sound in real time: nothing may run beside them. */
const ALONE = [
  'tests/chaos/chaos.spec.ts',
  'tests/browser/',
  'tests/e2e/recording.spec.ts',
  'tests/e2e/vllm-recording.spec.ts',
  'tests/integration/observability.spec.ts',
];

const shared = {
  rootDir: import.meta.dirname,
  testEnvironment: 'node',
  testEnvironmentOptions: { customExportConditions: ['source', 'node', 'node-addons'] },
  extensionsToTreatAsEsm: ['.ts'],
  modulePathIgnorePatterns: ['<rootDir>/.*/dist/', '<rootDir>/.cache/'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2023',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: false },
          experimental: { keepImportAttributes: true },
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
};

export default {
  // How long a test takes tells of the machine: this only ends one that hangs.
  testTimeout: 120_000,
  testSequencer: './scripts/lib/slow-first.mjs',
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: [
        '<rootDir>/{packages,services}/*/src/**/*.spec.ts',
        '<rootDir>/tests/autoscaling/*.spec.ts',
        // The page is shipped as it is written.
        '<rootDir>/services/gateway/public/*.spec.js',
      ],
    },
    {
      ...shared,
      displayName: 'integration',
      testMatch: ['<rootDir>/tests/{integration,e2e,chaos}/**/*.spec.ts'],
      testPathIgnorePatterns: ALONE.map((path) => `<rootDir>/${path}`),
    },
    {
      ...shared,
      displayName: 'chart',
      testMatch: ['<rootDir>/tests/chart/**/*.spec.ts'],
    },
    {
      ...shared,
      displayName: 'alone',
      testMatch: ALONE.map(
        (path) => `<rootDir>/${path}${path.endsWith('/') ? '**/*.spec.ts' : ''}`,
      ),
    },
    {
      ...shared,
      displayName: 'interop',
      testMatch: ['<rootDir>/tests/interop/*.spec.ts'],
      modulePathIgnorePatterns: [
        ...shared.modulePathIgnorePatterns,
        '<rootDir>/tests/interop/node_modules/',
      ],
    },
  ],
};
