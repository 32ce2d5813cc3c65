import { parentPort, workerData } from 'node:worker_threads';
import type { FliteJob, FliteResult } from './flite-job.ts';
import { MEMORY_DIRECTORY, MemoryWasi } from './memory-wasi.ts';
import type { WasmModule } from './wasm.ts';

/** A minute of speech at 16 kHz. */
const MAX_BYTES = 2_000_000;
const OUTPUT = `${MEMORY_DIRECTORY}/x.wav`;

const { module } = workerData as { readonly module: WasmModule };

parentPort?.on('message', ({ id, text, voice }: FliteJob) => {
  parentPort?.postMessage(speak(id, ['flite', '-voice', voice, '-t', text, '-o', OUTPUT]));
});

/** Each phrase has an instance of its own: none sees what another left behind. */
function speak(id: number, args: readonly string[]): FliteResult {
  try {
    const wav = new MemoryWasi(args, { maxBytes: MAX_BYTES }).run(module);
    return { kind: 'spoken', id, wav };
  } catch (error) {
    return { kind: 'failed', id, reason: String(error) };
  }
}
