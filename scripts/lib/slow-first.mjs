import TestSequencer from '@jest/test-sequencer';

/**
 * Files of 20 s and more, the longest first. Where nothing ran before, as in CI, Jest goes by the size of files, and what it
 * starts last may then keep one core busy for minutes while the other has nothing left to do.
 */
const SLOW = [
  'tests/chart/rehearsal.spec.ts',
  'tests/integration/vllm-endless.spec.ts',
  'tests/e2e/gpu-host.spec.ts',
  'tests/e2e/voice-gate.spec.ts',
  'tests/integration/pocketsphinx.spec.ts',
  'tests/integration/limits.spec.ts',
  'tests/integration/lean-protocol.spec.ts',
  'tests/integration/rolling.spec.ts',
  'tests/integration/worker-process.spec.ts',
  'tests/e2e/start.spec.ts',
  'tests/integration/batch-jobs.spec.ts',
  'tests/integration/backlog.spec.ts',
  'tests/integration/llm-tts-process.spec.ts',
  'tests/e2e/gpu-host/vllm.spec.ts',
  'tests/e2e/lean.spec.ts',
  'services/asr-worker/src/transcription/resume.spec.ts',
];

const place = ({ path }) => {
  const at = SLOW.findIndex((file) => path.endsWith(file));
  return at < 0 ? SLOW.length : at;
};

/** Jest's order, but what is slow comes first. */
export default class SlowFirst extends TestSequencer {
  async sort(tests) {
    return [...(await super.sort(tests))].sort((a, b) => place(a) - place(b));
  }
}
